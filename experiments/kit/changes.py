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


def with_fan_in_variance(net: ModelConfig, scale: float = 1.0) -> ModelConfig:
    """``net`` with initial weights of convolutions of the variance ``scale`` / inputs.

    Those of cuda-convnet are smaller, and start slowly. A scale of 1 keeps the variance of the activations where the
    units are linear, and a scale of 2 where they are ReLUs.
    """
    inputs = [3, *(conv.features for conv in net.convs)]
    convs = [
        replace(conv, kernel_stddev=scale**0.5 * (conv.kernel_size**2 * channels) ** -0.5)
        for conv, channels in zip(net.convs, inputs, strict=False)
    ]
    return replace(net, convs=tuple(convs))
