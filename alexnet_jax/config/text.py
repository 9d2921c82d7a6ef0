"""Configs as JSON, for work folders and weights files."""

from __future__ import annotations

import dataclasses
import json

import cattrs

from alexnet_jax.config.run import TrainConfig


def config_to_json(config: TrainConfig) -> str:
    """``config`` as indented JSON."""
    return json.dumps(dataclasses.asdict(config), indent=2)


def config_from_json(text: str) -> TrainConfig:
    """The config that ``text`` holds.

    Raises ValueError for anything else.
    """
    try:
        return cattrs.structure(json.loads(text), TrainConfig)
    except Exception as error:  # cattrs has no common class
        raise ValueError("cannot be read as a config") from error
