"""The errors that this package raises about a user's input.

Each message is one line: what is wrong, where, and how to fix it. The command prints that line and exits with
``exit_status``.
"""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Iterable, Sequence

_EXCEPTION = re.compile(r"[\w.]+(Error|Exception): ")


class AlexNetError(Exception):
    """Something outside the program is wrong: a file, a directory, a checkpoint, or a run that diverged."""

    exit_status = 1


class UsageError(AlexNetError, ValueError):
    """The request is wrong: an unknown name, a value out of range, a flag that does not exist."""

    exit_status = 2


class NotFiniteError(AlexNetError):
    """Parameters, a loss or the outputs of a net are infinite or not a number."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a ``name`` that is not in ``known``. It suggests similar names, or else lists all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose from {', '.join(known)}"
    return UsageError(f"unknown {kind} {name!r}: {hint}")


def require_package(package: str, purpose: str, extra: str) -> None:
    """Checks that an optional dependency is installed.

    Args:
        package: the import name.
        purpose: what needs it.
        extra: the extra of this package that installs it.

    Raises:
        UsageError: ``package`` is not installed.
    """
    if importlib.util.find_spec(package) is None:
        raise UsageError(
            f"{purpose} needs the package {package}: install it with `pip install {package}`, or in a clone with "
            f"`uv sync --extra {extra}`"
        )


def first_line(error: Exception) -> str:
    """The first line of another library's error, shortened; its class name if the message is empty."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def first_few(names: Sequence[str], most: int = 3) -> str:
    """The first ``most`` of ``names`` as a list for a line of text."""
    shown = [name if name.isprintable() else printable(name) for name in names[:most]]
    return ", ".join([*shown, "..."] if len(names) > most else shown)


def printable(name: str) -> str:
    """A name from a file, shortened and escaped for a line of text."""
    return name[:80].encode("unicode_escape").decode()


def exception_line(stderr: str, otherwise: str) -> str:
    """The last line that names an exception in what a program wrote to stderr, or else its last line.

    Programs may write hints after the exception.

    Args:
        stderr: what the program wrote.
        otherwise: the result if it wrote nothing.
    """
    lines = stderr.strip().splitlines() or [otherwise]
    exceptions = [line for line in lines if _EXCEPTION.match(line)]
    return (exceptions or lines)[-1]
