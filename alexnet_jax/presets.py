"""The named runs, each a value with its command, what it needs and what it reaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alexnet_jax.config import AugmentConfig, DataConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from alexnet_jax.errors import unknown_name
from alexnet_jax.variants import small


def quickstart() -> TrainConfig:
    """The small two-tower net on 5,000 photos of CIFAR-10 that come with the package.

    ``alexnet train``: some minutes on two CPU cores.
    """
    return TrainConfig(
        model=small(),
        data=DataConfig(dataset="cifar10_sample", train_examples=5000),
        augment=AugmentConfig(divide_by_stddev=True, colour_noise=0.0),
        optimizer=OptimizerConfig(learning_rate=0.02),
        schedule=ScheduleConfig(rule="steps", epochs=(19, 24)),
        batch_size=32,
        epochs=26,
        evaluate_every=2,
        log_every=52,
    )


def cifar10() -> TrainConfig:
    """The small two-tower net on all 50,000 training photos of CIFAR-10, with a twentieth held out to time the rate.

    ``alexnet train --preset cifar10``, where TFDS has ``cifar10`` prepared as ArrayRecord: an hour or more on
    two CPU cores.
    """
    return replace(
        quickstart(),
        data=DataConfig(dataset="cifar10", validation_share=0.05, train_examples=47_500),
        schedule=ScheduleConfig(rule="plateau", patience=4, max_drops=2),
        batch_size=64,
        epochs=60,
        log_every=100,
    )


PRESETS: dict[str, Callable[[], TrainConfig]] = {"quickstart": quickstart, "cifar10": cifar10}


def preset(name: str) -> TrainConfig:
    """The run called ``name``.

    Raises UsageError for a name that is none of ``PRESETS``.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]()
