"""Reads configs from the objects of JSON. Nothing is converted, and each error names the field as its flag does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args, get_origin

import cattrs
from cattrs.gen import make_dict_structure_fn

from alexnet_jax.errors import UsageError, first_line, unknown_name

Config = TypeVar("Config")

_Hook = Callable[[Any, Any], Any]


class _WrongTypeError(Exception):
    """The value of a field has the wrong type.

    Attributes:
        value: the value.
        remedy: what would work.
    """

    def __init__(self, value: Any, remedy: str) -> None:
        super().__init__(remedy)
        self.value = value
        self.remedy = remedy


def structure(content: Any, kind: type[Config]) -> Config:
    """The config of class ``kind`` with the fields in ``content``. Others have their defaults.

    Raises:
        UsageError: a field is unknown or missing, or has a value that it cannot have. The message names it by its path,
            such as ``model.convs.0.features``.
    """
    try:
        return _CONVERTER.structure(content, kind)
    except (cattrs.BaseValidationError, _WrongTypeError) as error:
        raise _explain(error, ()) from error


def _explain(error: Exception, path: tuple[str, ...]) -> UsageError:
    """The first error within ``error``, which happened at ``path``."""
    if isinstance(error, cattrs.BaseValidationError):
        cause = error.exceptions[0]
        notes = (note for note in getattr(cause, "__notes__", ()) if hasattr(note, "name") or hasattr(note, "index"))
        steps = [str(note.name if hasattr(note, "name") else note.index) for note in notes]
        return _explain(cause, (*path, *steps))
    name = ".".join(path)
    match error:
        case UsageError():  # of a check, which knows the name of its field
            return error
        case _WrongTypeError(value=value, remedy=remedy):
            text = repr(value)
            shown = text if len(text) <= 40 else f"{text[:40]}..."
            return UsageError(f"{name} is {shown}: {remedy}" if name else f"{shown} is no config: {remedy}")
        case cattrs.ForbiddenExtraKeysError(extra_fields=unknown, cl=kind):
            known = [".".join((*path, field.name)) for field in dataclasses.fields(kind)]
            return unknown_name("field", ".".join((*path, str(min(unknown, key=str)))), known)
        case KeyError():
            return UsageError(f"{name} is missing: it has no default")
        case _:
            return UsageError(f"{name} cannot be read ({first_line(error)})")


def _exact(kind: type, remedy: str) -> _Hook:
    def read(value: Any, _: Any) -> Any:
        if type(value) is not kind:
            raise _WrongTypeError(value, remedy)
        return value

    return read


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float) or (type(value) is int and abs(value) > 2**1000):
        raise _WrongTypeError(value, "use a number")
    return float(value)


def _literal(value: Any, kind: Any) -> Any:
    if value not in get_args(kind) or type(value) is bool:
        raise _WrongTypeError(value, f"use {' or '.join(map(repr, get_args(kind)))}")
    return value


def _tuple(kind: Any, converter: Any) -> _Hook:
    items = get_args(kind)

    def read(value: Any, _: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _WrongTypeError(value, "use a list")
        if items[-1] is Ellipsis:
            return tuple(converter.structure(value, list[items[0]]))  # type: ignore[valid-type]
        if len(value) != len(items):
            raise _WrongTypeError(value, f"use a list of {len(items)}")
        return tuple(converter.structure(part, item) for part, item in zip(value, items, strict=True))

    return read


def _object(kind: Any, converter: Any) -> _Hook:
    read_fields = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True)

    def read(value: Any, _: Any) -> Any:
        if not isinstance(value, dict):
            raise _WrongTypeError(value, "use a JSON object")
        return read_fields(value, kind)

    return read


def _is(kind: Any, origin: Any) -> bool:
    return get_origin(kind) is origin


def _strict_converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=True)
    converter.register_structure_hook(int, _exact(int, "use a whole number"))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(bool, _exact(bool, "use true or false"))
    converter.register_structure_hook(str, _exact(str, "use a string in quotes"))
    converter.register_structure_hook_func(lambda kind: _is(kind, Literal), _literal)
    converter.register_structure_hook_factory(lambda kind: _is(kind, tuple), _tuple)
    converter.register_structure_hook_factory(dataclasses.is_dataclass, _object)
    return converter


_CONVERTER = _strict_converter()
