"""What this package raises when a person's input cannot work: one line that says what is wrong, where, and what would.

The command line prints that line alone and exits with the class's ``exit_status``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class AlexNetError(Exception):
    """Something outside the program is wrong: a file, a folder, a checkpoint, a run that diverged."""

    exit_status = 1


class UsageError(AlexNetError, ValueError):
    """What was asked for cannot be: an unknown name, a value out of range, a flag that does not exist."""

    exit_status = 2


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a ``name`` that is none of ``known``: says which are near it, or else all of them."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known)}"
    return UsageError(f"unknown {kind} {name!r}: {hint}")


def first_line(error: Exception) -> str:
    """What another library's ``error`` says, short enough to quote; its class where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__


def printable(name: str) -> str:
    """A name out of a file, fit for a line of text: short, and without line ends or terminal codes."""
    return name[:80].encode("unicode_escape").decode()
