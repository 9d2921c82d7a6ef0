"""The named nets, each a value with its source. A new published AlexNet is a new value here, not a new class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alexnet_jax.config import ConvConfig, DenseConfig, Dropout, LocalResponseNorm, MaxPool, ModelConfig, Operation
from alexnet_jax.errors import unknown_name

_RELU_NORM_POOL: tuple[Operation, ...] = ("relu", "local_response_norm", "max_pool")


def paper() -> ModelConfig:
    """Two towers as the paper prints them: sections 3.1 to 3.5 and 4.2, Figure 2, first values of section 5.

    224-pixel crops without padding give 55 x 55 only if the last window hangs over the edge, so it does here too.
    Normalisation stays inside a tower: the paper's GPUs had no link at these layers.
    """
    return ModelConfig(
        convs=(
            ConvConfig(96, 11, stride=4, rounding="up", then=_RELU_NORM_POOL),
            ConvConfig(256, 5, padding=2, groups=2, bias=1.0, then=_RELU_NORM_POOL),
            ConvConfig(384, 3, padding=1),
            ConvConfig(384, 3, padding=1, groups=2, bias=1.0),
            ConvConfig(256, 3, padding=1, groups=2, bias=1.0, then=("relu", "max_pool")),
        ),
        dense=(DenseConfig(4096, bias=1.0), DenseConfig(4096, bias=1.0)),
    )


def original() -> ModelConfig:
    """The net behind the paper's figures: the authors' layer file 145, released in 2025.

    Against the paper's text: the first and last pooling come before ReLU, the first normalisation too;
    alpha is divided by the window; an unpublished spatial normalisation follows the second layer's;
    the first weights of conv3 to conv5 are three times wider.
    """
    printed = paper()
    conv1, conv2, conv3, conv4, conv5 = printed.convs
    return replace(
        printed,
        convs=(
            replace(conv1, then=("local_response_norm", "max_pool", "relu")),
            replace(conv2, then=("relu", "local_response_norm", "spatial_response_norm", "max_pool")),
            replace(conv3, kernel_stddev=0.03),
            replace(conv4, kernel_stddev=0.03),
            replace(conv5, kernel_stddev=0.03, then=("max_pool", "relu")),
        ),
        local_response_norm=LocalResponseNorm(divide_alpha=True),
        max_pool=MaxPool(rounding="up"),
    )


def small() -> ModelConfig:
    """Two towers for 32-pixel images, of which it sees 28-pixel crops: this project's own, for a first run on a CPU.

    The towers and links of ``paper`` with a fraction of the channels and with kernels that fit small images.
    Normalisation follows pooling, as in CaffeNet, since it then has a quarter of the pixels to do. The first weights
    have a variance of two over the inputs of a unit, which keeps ReLU units in one range from layer to layer.
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


VARIANTS: dict[str, Callable[[], ModelConfig]] = {
    "paper": paper,
    "original": original,
    "small": small,
}


def variant(name: str) -> ModelConfig:
    """The net called ``name``.

    Raises UsageError for a name that is none of ``VARIANTS``.
    """
    if name not in VARIANTS:
        raise unknown_name("variant", name, VARIANTS)
    return VARIANTS[name]()
