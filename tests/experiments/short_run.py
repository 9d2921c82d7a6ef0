"""A run of seconds, for the tests of what trains nets."""

from __future__ import annotations

from alexnet_jax.config import DataConfig, ScheduleConfig, TrainConfig
from alexnet_jax.variants import small
from tests.helpers.nets import tiny_config


def short_run() -> TrainConfig:
    """``small`` on 64 photos."""
    return tiny_config(
        model=small(),
        data=DataConfig(train_split="train[:64]", test_split="test[:50]"),
        schedule=ScheduleConfig("steps"),
        batch_size=32,
    )
