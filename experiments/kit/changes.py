"""Changes to a net that several experiments make."""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import Operation, TrainConfig


def without_operation(config: TrainConfig, operation: Operation) -> TrainConfig:
    """``config`` without ``operation`` after any convolution."""
    convs = tuple(
        replace(conv, then=tuple(other for other in conv.then if other != operation)) for conv in config.model.convs
    )
    return replace(config, model=replace(config.model, convs=convs))
