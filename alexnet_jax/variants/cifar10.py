"""Nets for CIFAR-10: those of cuda-convnet, and stand-ins for the nets of the paper's Figure 1.

The layer files of cuda-convnet are in ``example-layers`` (dnouri/cuda-convnet has its history), those of cuda-convnet2
in ``layers`` of akrizhevsky/cuda-convnet2. Locally connected layers have biases for each position there
(``LocalUnsharedLayerParser`` of ``layer.py``). A last pooling window that extends past the edge counts.
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import (
    AveragePool,
    ConvConfig,
    LocalResponseNorm,
    MaxPool,
    ModelConfig,
    Operation,
    SpatialResponseNorm,
)

_RELU_POOL: tuple[Operation, ...] = ("relu", "max_pool")
_NINE_CHANNELS = LocalResponseNorm(size=9, k=1.0, alpha=0.001, divide_alpha=True)


def _net(
    first: tuple[Operation, ...], second: tuple[Operation, ...], features: int, norm: LocalResponseNorm
) -> ModelConfig:
    """Two convolutions and two locally connected layers, for 24-pixel crops."""
    return ModelConfig(
        convs=(
            ConvConfig(64, 5, padding=2, kernel_stddev=0.0001, then=first),
            ConvConfig(64, 5, padding=2, then=second),
            ConvConfig(features, 3, padding=1, shared_kernel=False, kernel_stddev=0.04),
            ConvConfig(32, 3, padding=1, shared_kernel=False, kernel_stddev=0.04),
        ),
        dense=(),
        classes=10,
        image_size=24,
        towers=1,
        local_response_norm=norm,
        max_pool=MaxPool(rounding="up"),
    )


def cifar10_13pct() -> ModelConfig:
    """The net with 13% test error on CIFAR-10: cuda-convnet, layers-conv-local-13pct.cfg.

    The paper compares it with an 11% net to show the effect of normalisation (section 3.3).
    """
    return _net(_RELU_POOL, _RELU_POOL, features=32, norm=LocalResponseNorm())


def cifar10_11pct() -> ModelConfig:
    """The net with 11% test error on CIFAR-10: cuda-convnet, layers-conv-local-11pct.cfg, as of r541 (March 2012).

    cuda-convnet2 (2014, layers-cifar10-11pct.cfg) has the same layers. The normalisation, over nine channels, follows
    the first pooling and precedes the second. The third layer has twice the channels of ``cifar10_13pct``, so that the
    two are not an ablation of the normalisation alone.
    """
    return _net(
        ("relu", "max_pool", "local_response_norm"), ("relu", "local_response_norm", "max_pool"), 64, _NINE_CHANNELS
    )


def cifar10_11pct_r540() -> ModelConfig:
    """The first version of ``cifar10_11pct``: r540 of cuda-convnet, which r541 replaced on the same day.

    The layers of ``cifar10_13pct`` with the normalisation of 5 x 5 pixels (``rnorm``) before each pooling. The file has
    no constants for it and cannot be run, so that those here, of r541, are a guess.
    """
    then: tuple[Operation, ...] = ("relu", "spatial_response_norm", "max_pool")
    net = _net(then, then, features=32, norm=LocalResponseNorm())
    return replace(net, spatial_response_norm=SpatialResponseNorm())


def cifar10_18pct() -> ModelConfig:
    """The net with 18% test error on CIFAR-10, without augmentation: cuda-convnet, layers-18pct.cfg.

    Three convolutions, max-pooling after the first and average pooling after the others, and normalisation over 3 x 3
    pixels (``rnorm``) after the first two.
    """
    return ModelConfig(
        convs=(
            ConvConfig(32, 5, padding=2, kernel_stddev=0.0001, then=("max_pool", "relu", "spatial_response_norm")),
            ConvConfig(32, 5, padding=2, then=("relu", "average_pool", "spatial_response_norm")),
            ConvConfig(64, 5, padding=2, then=("relu", "average_pool")),
        ),
        dense=(),
        classes=10,
        image_size=32,
        towers=1,
        spatial_response_norm=SpatialResponseNorm(size=3, alpha=0.00005),
        max_pool=MaxPool(rounding="up"),
        average_pool=AveragePool(rounding="up"),
    )


def _figure_1(then: tuple[Operation, ...], activation: Operation = "relu") -> ModelConfig:
    """``cifar10_13pct`` with convolutions in place of the locally connected layers."""
    net = _net(then, then, features=32, norm=LocalResponseNorm(k=1.0, alpha=0.001, divide_alpha=True))
    convs = (*net.convs[:2], *(replace(conv, shared_kernel=True, then=(activation,)) for conv in net.convs[2:]))
    return replace(net, convs=convs)


def cifar10_conv_relu() -> ModelConfig:
    """Four convolutions for the comparison of ReLU and tanh in Figure 1, whose net is not published.

    This project's own choice: ``cifar10_13pct`` with convolutions in place of its locally connected layers.
    """
    return _figure_1(_RELU_POOL)


def cifar10_conv_norm() -> ModelConfig:
    """``cifar10_conv_relu`` with local response normalisation over five channels before each pooling.

    This project's own choice, for an ablation of the normalisation (section 3.3), which the published nets are not.
    """
    return _figure_1(("relu", "local_response_norm", "max_pool"))


def cifar10_conv_tanh() -> ModelConfig:
    """``cifar10_conv_relu`` with tanh in place of ReLU: the dashed line of Figure 1.

    This project's own choice, as ``cifar10_conv_relu``.
    """
    return _figure_1(("tanh", "max_pool"), activation="tanh")
