"""This project's own net."""

from __future__ import annotations

from alexnet_jax.config import ConvConfig, DenseConfig, Dropout, MaxPool, ModelConfig, Operation


def small() -> ModelConfig:
    """Two towers for 28-pixel crops of 32-pixel images: this project's own net, for a first run on a CPU.

    The towers and connections of ``paper``, with fewer channels and with kernels for small images. Normalisation
    follows pooling, as in CaffeNet, so that it reads fewer pixels. The initial weights of most layers have the
    variance 2 / inputs (He et al., 2015), which keeps the range of the activations from layer to layer.
    """
    then: tuple[Operation, ...] = ("relu", "max_pool", "local_response_norm")
    return ModelConfig(
        convs=(
            ConvConfig(32, 5, padding=2, kernel_stddev=0.163, then=then),
            ConvConfig(64, 3, padding=1, groups=2, kernel_stddev=0.118, then=then),
            ConvConfig(96, 3, padding=1, kernel_stddev=0.059),
            ConvConfig(64, 3, padding=1, groups=2, kernel_stddev=0.068),
            ConvConfig(64, 3, padding=1, groups=2, kernel_stddev=0.083, then=("relu", "max_pool")),
        ),
        dense=(DenseConfig(128, kernel_stddev=0.044), DenseConfig(128, kernel_stddev=0.125)),
        classes=10,
        image_size=28,
        max_pool=MaxPool(rounding="up"),
        dropout=Dropout(rate=0.1),
        head_kernel_stddev=0.0625,
    )
