"""Parses the arguments of a command with tyro, and reports parse errors in one line."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import tyro
from tyro import _errors  # tyro's hook for parse errors, which it does not export yet

from alexnet_jax.errors import UsageError
from alexnet_jax.hints import command as hint

_Arguments = TypeVar("_Arguments")


def parse(
    kind: type[_Arguments] | Callable[..., _Arguments],
    arguments: list[str],
    command: str,
    default: _Arguments | None = None,
    **options: Any,
) -> _Arguments:
    """Parses a command line.

    Args:
        kind: what tyro constructs from ``arguments``: a dataclass, a union of dataclasses, or a function.
        arguments: the words after the command.
        command: its name, for help and errors.
        default: an instance whose values are the defaults.
        options: as for ``tyro.cli``.

    Raises:
        UsageError: ``arguments`` do not parse, or ``kind`` rejects them.
    """

    def refuse(event: _errors.ParseErrorEvent) -> None:
        message = _describe(event, lambda: _flags(kind if default is None else default))
        if message is not None:
            raise UsageError(f"{message}; see `{hint(*command.split(), '--help')}`")

    if default is not None:
        options["default"] = default
    with _errors.on_parse_error(refuse):
        return tyro.cli(kind, args=arguments, prog=f"alexnet {command}", use_underscores=True, **options)


def _describe(event: _errors.ParseErrorEvent, flags: Callable[[], Iterable[str]]) -> str | None:
    """The error in one line. None for other kinds of errors, which tyro reports itself."""
    if isinstance(event, _errors.UnrecognizedArgs):
        return _unknown_option(event.tokens, flags())
    if isinstance(event, _errors.MissingArgs):
        if event.unrecognized_tokens:
            return _unknown_option(event.unrecognized_tokens, flags())
        return "missing " + ", ".join(missing.arg.display_name() for missing in event.missing_arguments)
    if isinstance(event, _errors.MissingSubcommand):
        return f"use one of {', '.join(event.subcommand_spec.parser_from_name)}"
    if isinstance(event, _errors.InvalidChoice):
        return f"{event.argument.display_name()} is {event.value!r}: use {' or '.join(event.choices)}"
    if isinstance(event, _errors.BadValue):
        return f"{event.argument.display_name()} needs {event.argument.lowered.nargs or 'another'} value(s)"
    if isinstance(event, _errors.InstantiationFailure):
        return event.message if event.argument is None else f"{event.argument.display_name()}: {event.message}"
    return None


def _unknown_option(tokens: list[str], flags: Iterable[str]) -> str:
    """The message for the first option in ``tokens``. It suggests similar ``flags``."""
    option = next((token for token in tokens if token.startswith("-")), None)
    if option is None:
        return f"unexpected argument {tokens[0]!r}"
    option = option.partition("=")[0]
    name = option.replace("-", "_").removeprefix("__")
    known = list(dict.fromkeys(flags))
    near = [flag for flag in known if flag.endswith(f".{name}")] or difflib.get_close_matches(name, known, 3, 0.7)
    suggestion = f": did you mean {' or '.join(f'--{flag}' for flag in near)}?" if near else ""
    return f"unknown option {option}{suggestion}"


def _flags(value: Any, prefix: str = "") -> Iterator[str]:
    """The names of the flags that tyro makes for a dataclass, its class, or a union of such classes."""
    if not dataclasses.is_dataclass(value):
        for part in typing.get_args(value):  # of a union or Annotated
            yield from _flags(part, prefix)
        return
    for field in dataclasses.fields(value):
        name = prefix if field.name == "recipe" else f"{prefix}{field.name}."  # train gives this field an empty name
        child = getattr(value, field.name, None)
        nested = enumerate(child) if isinstance(child, tuple) else []
        if dataclasses.is_dataclass(child):
            yield from _flags(child, name)
        else:
            yield name.removesuffix(".")
        for index, element in nested:
            yield from _flags(element, f"{name}{index}.")
