"""Configs field by field."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any


def differences(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name, old value and new value of each field that two configs of one class do not share, nested ones by path."""
    for entry in dataclasses.fields(old):
        name, before, after = prefix + entry.name, getattr(old, entry.name), getattr(new, entry.name)
        if dataclasses.is_dataclass(before):
            yield from differences(before, after, f"{name}.")
        elif isinstance(before, tuple) and len(before) == len(after) and all(map(dataclasses.is_dataclass, before)):
            for index, pair in enumerate(zip(before, after, strict=True)):
                yield from differences(*pair, f"{name}.{index}.")
        elif before != after:
            yield name, before, after
