"""The entries of the leaderboard: a config for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alexnet_jax.config import (
    AugmentConfig,
    AveragePool,
    ConvConfig,
    DataConfig,
    MaxPool,
    ModelConfig,
    Operation,
    OptimizerConfig,
    ScheduleConfig,
    TrainConfig,
)

MINUTES = 30
"""The most minutes that a run may take on two cores."""


@dataclass(frozen=True)
class Entry:
    """A run that competes.

    Attributes:
        config: the run with seed 0.
        about: what the net and the recipe are, in one or two sentences.
    """

    config: TrainConfig
    about: str


def _net(features: Sequence[int], pools: Sequence[int]) -> ModelConfig:
    """A net of 3 x 3 convolutions with batch normalisation, for 28-pixel crops.

    Args:
        features: the output channels of each convolution.
        pools: the numbers of the three convolutions that are followed by pooling, which leaves 3 x 3 pixels.
    """
    inputs = (3, *features)
    return ModelConfig(
        convs=tuple(
            ConvConfig(
                after,
                kernel_size=3,
                padding=1,
                kernel_stddev=(2 / (9 * before)) ** 0.5,
                then=_then(is_pooled=number in pools),
            )
            for number, (before, after) in enumerate(zip(inputs, features, strict=False), start=1)
        ),
        dense=(),
        classes=10,
        image_size=28,
        towers=1,
        max_pool=MaxPool(size=2, stride=2),
        pool_before_dense=True,
        average_pool=AveragePool(size=3, stride=3),
        head_kernel_stddev=inputs[-1] ** -0.5,
    )


def _then(is_pooled: bool) -> tuple[Operation, ...]:
    """Pooling precedes normalisation, which then reads fewer pixels."""
    return ("max_pool", "batch_norm", "relu") if is_pooled else ("batch_norm", "relu")


def _run(model: ModelConfig, epochs: int) -> TrainConfig:
    return TrainConfig(
        model=model,
        data=DataConfig(dataset="cifar10", train_examples=50_000),
        augment=AugmentConfig(mean="channel", divide_by_stddev=True, pca_colour_noise=0.0),
        optimizer=OptimizerConfig(rule="optax_sgd", learning_rate=0.12, weight_decay=0.001, nesterov=True),
        schedule=ScheduleConfig(rule="polynomial", power=1.0, warm_up_epochs=1),
        label_smoothing=0.1,
        batch_size=128,
        epochs=epochs,
        evaluate_every=epochs,
        checkpoint_every=1_000_000,
        log_every=100,
        views="ten-crop",
    )


ENTRIES: Mapping[str, Entry] = {
    "six_convs": Entry(
        _run(_net((24, 64, 128, 256, 256, 256), pools=(2, 3, 5)), epochs=10),
        "six convolutions of 3 x 3 pixels with batch normalisation, the mean of the outputs' pixels, and one dense "
        "layer; a rate that falls linearly, label smoothing of 0.1, and ten-crop evaluation",
    ),
}
"""The entries, by name."""
