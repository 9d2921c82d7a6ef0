"""The values of every net and run, each with its source. ``tests/test_sources.py`` compares them with the package.

A table maps the name of a field to a value and where it was read: a section of the paper, or a file and a section or
option of it. ``OURS`` marks a value that the source does not give, with the reason.
"""

from __future__ import annotations

from typing import Any

Table = dict[str, tuple[Any, str]]

OURS = "ours: "
UNUSED = OURS + "has no effect in this net or run"


def cite(source: str, **values: Any) -> Table:
    """Entries with one source. ``__`` in a name stands for a dot."""
    return {name.replace("__", "."): (value, source) for name, value in values.items()}
