"""Configs as JSON, and the fields in which two configs differ."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from alexnet_jax.config.run import TrainConfig
from alexnet_jax.config.strict import structure
from alexnet_jax.errors import UsageError


def config_to_json(config: TrainConfig) -> str:
    """``config`` as indented JSON."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def config_from_json(text: str) -> TrainConfig:
    """The config in ``text``. Fields that it does not set have their defaults.

    Raises:
        UsageError: ``text`` is not JSON, or a field is unknown or has a value that it cannot have.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON ({error})") from error
    return structure(content, TrainConfig)


def differences(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """The name, old value and new value of each field that differs between two configs of one class.

    Nested fields are named by their path, such as ``model.convs.0.features``.
    """
    for field in dataclasses.fields(old):
        name, before, after = prefix + field.name, getattr(old, field.name), getattr(new, field.name)
        if dataclasses.is_dataclass(before):
            yield from differences(before, after, f"{name}.")
        elif isinstance(before, tuple) and len(before) == len(after) and all(map(dataclasses.is_dataclass, before)):
            for index, pair in enumerate(zip(before, after, strict=True)):
                yield from differences(*pair, f"{name}.{index}.")
        elif before != after:
            yield name, before, after
