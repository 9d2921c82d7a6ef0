"""Checks of config fields. Each error names the field, its value and a remedy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from alexnet_jax.errors import UsageError


def check(condition: bool, name: str, got: Any, remedy: str) -> None:
    """Raises UsageError about the value ``got`` of the field ``name`` unless ``condition``."""
    if not condition:
        raise UsageError(f"{name} is {got!r}: {remedy}")


def check_fields(
    config: Any, names: tuple[str, ...], allowed: Callable[[Any], bool], remedy: str, section: str | None = None
) -> None:
    """Raises UsageError for the first of the fields ``names`` that is neither None nor allowed.

    Args:
        config: the config.
        names: the names of fields.
        allowed: whether a value is allowed.
        remedy: what would work.
        section: what precedes a field in the name of its flag. None is ``config.section``.
    """
    section = config.section if section is None else section
    for name in names:
        value = getattr(config, name)
        check(value is None or allowed(value), f"{section}{name}", value, remedy)


def check_positive(config: Any, *names: str, section: str | None = None) -> None:
    """Checks that the fields are above 0 and finite."""
    check_fields(config, names, lambda value: 0 < value < math.inf, "use a number above 0", section)


def check_not_negative(config: Any, *names: str, section: str | None = None) -> None:
    """Checks that the fields are at least 0 and finite."""
    check_fields(config, names, lambda value: 0 <= value < math.inf, "use 0 or more", section)


def check_fraction(config: Any, *names: str) -> None:
    """Checks that the fields are at least 0 and below 1."""
    check_fields(config, names, lambda value: 0 <= value < 1, "use a fraction, at least 0 and below 1")


def check_finite(value: Any, name: str) -> None:
    """Raises UsageError for a NaN or an infinity in ``value``: a number, or a config or a tuple at any depth.

    Args:
        value: the value of a field, or a config.
        name: its name, empty for the config of a run.
    """
    prefix = f"{name}." if name else ""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            check_finite(getattr(value, field.name), prefix + field.name)
    elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
        for index, item in enumerate(value):
            check_finite(item, f"{prefix}{index}")
    else:
        check(_is_finite(value), name, value, "use a finite number")


def _is_finite(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def make_lists_tuples(config: Any) -> None:
    """Replaces the lists in the fields of a frozen config by tuples, so that it is hashable."""
    for field in dataclasses.fields(config):
        object.__setattr__(config, field.name, _as_tuple(getattr(config, field.name)))


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list | tuple) else value
