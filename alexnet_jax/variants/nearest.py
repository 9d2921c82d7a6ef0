"""Which named net a config is, or is closest to."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from alexnet_jax.config import ModelConfig
from alexnet_jax.variants import VARIANTS


@dataclass(frozen=True)
class Difference:
    """A field in which a net differs from a named one. A value is None where that net has no such layer."""

    field: str
    """Its path, such as ``convs.0.features``."""
    value: Any
    named_value: Any

    def __str__(self) -> str:
        return f"{self.field} is {self.value} (not {self.named_value})"


@dataclass(frozen=True)
class Nearest:
    """The named net with the fewest fields that differ from a config."""

    variant: str
    differences: tuple[Difference, ...]

    @property
    def is_exact(self) -> bool:
        """Whether the net is the named one, with any number of classes."""
        return all(difference.field == "classes" for difference in self.differences)


def nearest_variant(config: ModelConfig) -> Nearest:
    """The named net that ``config`` equals, or that differs from it in the fewest fields. The first wins a tie."""
    candidates = [Nearest(name, _differences(config, make())) for name, make in VARIANTS.items()]
    return min(candidates, key=lambda nearest: (not nearest.is_exact, len(nearest.differences)))


def _differences(config: ModelConfig, named: ModelConfig) -> tuple[Difference, ...]:
    ours, theirs = _fields("", dataclasses.asdict(config)), _fields("", dataclasses.asdict(named))
    return tuple(
        Difference(field, ours.get(field), theirs.get(field))
        for field in ours | theirs
        if ours.get(field) != theirs.get(field)
    )


def _fields(prefix: str, value: Any) -> dict[str, Any]:
    """The values in nested dictionaries and in tuples of them, by path."""
    if isinstance(value, tuple) and all(isinstance(item, dict) for item in value):
        value = dict(enumerate(value))
    if not isinstance(value, dict):
        return {prefix.removesuffix("."): value}
    return {path: leaf for name, item in value.items() for path, leaf in _fields(f"{prefix}{name}.", item).items()}
