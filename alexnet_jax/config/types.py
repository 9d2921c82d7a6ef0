"""Checks that the fields of a config have the types of their annotations."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from typing import Any, Literal, Union, get_args, get_origin

from alexnet_jax.config.checks import check

_REMEDIES: dict[Any, tuple[tuple[type, ...], str]] = {
    int: ((int,), "use a whole number"),
    float: ((int, float), "use a number"),
    bool: ((bool,), "use True or False"),
    str: ((str,), "use a string"),
    types.NoneType: ((types.NoneType,), "use None"),
}
"""The types of the values that a simple annotation allows, and what to use instead of others."""


def check_types(config: Any, section: str) -> None:
    """Checks the types of the fields of a config.

    Args:
        config: the config.
        section: what precedes a field in the name of its flag.

    Raises:
        UsageError: a field has a value of another type.
    """
    config_class: Any = type(config)
    for name, kind in _annotations(config_class).items():
        value = getattr(config, name)
        remedy = _remedy(value, kind)
        check(remedy is None, f"{section}{name}", value, remedy or "")


@functools.cache
def _annotations(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _remedy(value: Any, kind: Any) -> str | None:
    """What to use instead of ``value`` where ``kind`` is annotated; None if ``value`` has that type."""
    options, origin = get_args(kind), get_origin(kind)
    if origin in (Union, types.UnionType):
        remedies = [_remedy(value, option) for option in options]
        return None if None in remedies else " or ".join(text for text in remedies if text).replace(" or use", " or")
    if origin is Literal:
        is_known = isinstance(value, str) and value in options
        return None if is_known else f"use {' or '.join(map(repr, options))}"
    if origin is tuple:
        kinds = options[:1] * len(value) if options[-1] is Ellipsis and isinstance(value, tuple) else options
        if not isinstance(value, tuple) or len(value) != len(kinds):
            return "use a tuple" if options[-1] is Ellipsis else f"use a tuple of {len(options)}"
        return next(filter(None, map(_remedy, value, kinds)), None)
    if kind not in _REMEDIES:
        return None if isinstance(value, kind) else f"use a {kind.__name__}"
    allowed, remedy = _REMEDIES[kind]
    is_allowed = isinstance(value, allowed) and (kind is bool or not isinstance(value, bool))
    return None if is_allowed else remedy
