"""Small nets and runs."""

from __future__ import annotations

import dataclasses

from alexnet_jax.config import DataConfig, ModelConfig, ScheduleConfig, TrainConfig
from alexnet_jax.variants import variant


def tiny_model(name: str, classes: int = 10, features: tuple[int, ...] = (8, 16, 12, 12, 8, 8)) -> ModelConfig:
    """The variant ``name`` with few channels and 67-pixel images, its layers and connections unchanged.

    The initial weights have larger standard deviations, so that every layer still contributes to the logits.
    """
    model = variant(name)
    stddevs = (0.01, 0.1, 0.12, 0.15, 0.15, 0.15)
    convs = tuple(
        dataclasses.replace(conv, features=count, kernel_stddev=stddev)
        for conv, count, stddev in zip(
            model.convs, features[: len(model.convs)], stddevs[: len(model.convs)], strict=True
        )
    )
    dense = tuple(dataclasses.replace(layer, features=16, kernel_stddev=0.3) for layer in model.dense)
    return dataclasses.replace(model, convs=convs, dense=dense, classes=classes, image_size=67, head_kernel_stddev=0.3)


def tiny_config(name: str = "paper", **changes: object) -> TrainConfig:
    """A run of ``tiny_model(name)`` on 72-pixel images, whose rate drops after two steps."""
    config = TrainConfig(
        model=tiny_model(name),
        data=DataConfig(image_size=72, train_examples=32),
        schedule=ScheduleConfig("steps", epochs=(0.5,)),
        batch_size=8,
        epochs=1,
    )
    return dataclasses.replace(config, **changes)
