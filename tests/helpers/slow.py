"""Marks some cases of a test as slow."""

from collections.abc import Container, Iterable
from typing import Any

import pytest


def slow(value: Any, *others: Any, id: str | None = None) -> Any:
    """One case of a test, marked slow."""
    return pytest.param(value, *others, marks=pytest.mark.slow, id=id)


def slow_except(quick: Container[str], names: Iterable[str]) -> list[Any]:
    """The names as cases of a test. All but those in ``quick`` are marked slow."""
    return [name if name in quick else slow(name) for name in names]
