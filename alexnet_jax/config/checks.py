"""Checks of config fields. Each error names the field, its value and a remedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from alexnet_jax.errors import UsageError


def check(condition: bool, name: str, got: Any, remedy: str) -> None:
    """Raises UsageError about the value ``got`` of the field ``name`` unless ``condition``."""
    if not condition:
        raise UsageError(f"{name} is {got!r}: {remedy}")


def check_fields(config: Any, names: tuple[str, ...], allowed: Callable[[Any], bool], remedy: str) -> None:
    """Raises UsageError for the first of the fields ``names`` that is neither None nor allowed."""
    for name in names:
        value = getattr(config, name)
        check(value is None or allowed(value), f"{config.section}{name}", value, remedy)


def check_positive(config: Any, *names: str) -> None:
    """Checks that the fields are above 0 and finite."""
    check_fields(config, names, lambda value: 0 < value < math.inf, "use a number above 0")


def check_not_negative(config: Any, *names: str) -> None:
    """Checks that the fields are at least 0 and finite."""
    check_fields(config, names, lambda value: 0 <= value < math.inf, "use 0 or more")


def check_fraction(config: Any, *names: str) -> None:
    """Checks that the fields are at least 0 and below 1."""
    check_fields(config, names, lambda value: 0 <= value < 1, "use a fraction, at least 0 and below 1")
