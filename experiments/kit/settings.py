"""The net and the recipe that most experiments change in one place."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from alexnet_jax.config import DataConfig, ScheduleConfig, TrainConfig
from alexnet_jax.presets import preset

Scale = Literal["cpu", "full"]
"""cpu: a smaller version on two cores. full: the published setting, for accelerators."""

CPU_NOTE = (
    "The two-tower net `small` in place of the paper's, on 10,000 training photos of CIFAR-10 in place of ImageNet, "
    "for 12 epochs in place of 90, with a cosine schedule; evaluated on all 10,000 test photos."
)
"""What the small version of ``baseline`` is."""


def baseline(scale: Scale) -> TrainConfig:
    """The run that most experiments change in one place.

    Args:
        scale: "full" is the run of the paper's text on ImageNet, "cpu" the one of ``CPU_NOTE``.
    """
    if scale == "full":
        return preset("imagenet_paper")
    return replace(
        preset("quickstart"),
        data=DataConfig(dataset="cifar10", train_split="train[:10000]", train_examples=10_000),
        schedule=ScheduleConfig(rule="cosine"),
        epochs=12,
        steps_per_dispatch=1,
        evaluate_every=4,
        log_every=104,
    )
