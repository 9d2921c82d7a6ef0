"""Configs as JSON, and the fields in which two configs differ."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import cattrs

from alexnet_jax.config.run import TrainConfig


def config_to_json(config: TrainConfig) -> str:
    """``config`` as indented JSON."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def config_from_json(text: str) -> TrainConfig:
    """The config in ``text``.

    Raises:
        ValueError: ``text`` is not the JSON of a config.
    """
    try:
        return cattrs.structure(json.loads(text), TrainConfig)
    except Exception as error:  # cattrs has no common base class
        raise ValueError("not the JSON of a config") from error


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
