"""Changes to a net that several experiments make."""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import ModelConfig, Operation, TrainConfig


def without_operation(config: TrainConfig, operation: Operation) -> TrainConfig:
    """``config`` without ``operation`` after any convolution."""
    convs = tuple(
        replace(conv, then=tuple(other for other in conv.then if other != operation)) for conv in config.model.convs
    )
    return replace(config, model=replace(config.model, convs=convs))


def with_variance_of_inputs(net: ModelConfig) -> ModelConfig:
    """``net`` with initial weights of the variance 1 / inputs, because those of cuda-convnet start slowly."""
    inputs = [3, *(conv.features for conv in net.convs)]
    convs = [
        replace(conv, kernel_stddev=(conv.kernel_size**2 * channels) ** -0.5)
        for conv, channels in zip(net.convs, inputs, strict=False)
    ]
    return replace(net, convs=tuple(convs))
