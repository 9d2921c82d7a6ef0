"""The named nets, each a config with its source. To add a net, add a function here.

Some docstrings name tutorials: *the 227-pixel tutorial*, a Chinese layer-by-layer explanation with code for 227-pixel
images; *the layer-table tutorial*, a Chinese PyTorch implementation that prints its layer table; "CV学习笔记-Alexnet",
notes on computer vision; and the summary of Dive into Deep Learning's chapter on AlexNet on shili8 (2025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alexnet_jax.config import ConvConfig, DenseConfig, Dropout, LocalResponseNorm, MaxPool, ModelConfig, Operation
from alexnet_jax.errors import unknown_name

_RELU_NORM_POOL: tuple[Operation, ...] = ("relu", "local_response_norm", "max_pool")


def paper() -> ModelConfig:
    """Two towers, as the paper prints them: sections 3.1 to 3.5 and 4.2, Figure 2, initial values of section 5.

    224-pixel crops without padding give 55 x 55 outputs only if the last window extends past the edge, as it does here.
    Normalisation stays inside a tower, because the paper's GPUs did not communicate at these layers.
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
    """The net behind the paper's results: the authors' layer file 145, released in 2025.

    Differences from the paper's text: the first normalisation and the first and last pooling come before ReLU. Alpha is
    divided by the window size. An unpublished spatial normalisation follows the normalisation of the second layer. The
    initial weights of conv3 to conv5 have three times the standard deviation.
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


def _caffe(bias: float, then: tuple[Operation, ...]) -> ModelConfig:
    """``paper`` at 227 pixels with the normalisation, pooling and initial weights of Caffe's two nets."""
    return ModelConfig(
        convs=(
            ConvConfig(96, 11, stride=4, then=then),
            ConvConfig(256, 5, padding=2, groups=2, bias=bias, then=then),
            ConvConfig(384, 3, padding=1),
            ConvConfig(384, 3, padding=1, groups=2, bias=bias),
            ConvConfig(256, 3, padding=1, groups=2, bias=bias, then=("relu", "max_pool")),
        ),
        dense=(DenseConfig(4096, kernel_stddev=0.005, bias=bias), DenseConfig(4096, kernel_stddev=0.005, bias=bias)),
        image_size=227,
        local_response_norm=LocalResponseNorm(k=1.0, divide_alpha=True, across_towers=True),
        max_pool=MaxPool(rounding="up"),
        dropout=Dropout(scaled_in="training"),
    )


def caffe_alexnet() -> ModelConfig:
    """Caffe's bvlc_alexnet (BVLC/caffe, models/bvlc_alexnet): the paper's order of layers at 227 pixels.

    Differences from ``paper``: normalisation has k = 1, divides alpha by the window size and crosses the border between
    the towers. Biases that start at 1 in the paper start at 0.1. The initial weights of fc6 and fc7 have half the
    standard deviation. Dropout is inverted. Pooling rounds up.
    """
    return _caffe(bias=0.1, then=_RELU_NORM_POOL)


def caffenet() -> ModelConfig:
    """Caffe's CaffeNet (BVLC/caffe, models/bvlc_reference_caffenet): pooling before normalisation, biases of 1.

    The 227-pixel tutorial describes this order and these sizes (227, and 6 x 6 from 13). It calls the normalisation
    "BN" and lets conv2 and conv4 read both towers, which neither Caffe nor the paper does.
    """
    return _caffe(bias=1.0, then=("relu", "max_pool", "local_response_norm"))


def _pytorch(features: tuple[int, int, int, int, int], image_size: int = 224, padding: int = 2) -> ModelConfig:
    """One tower as in torchvision: no normalisation, dropout before fc6 and fc7, PyTorch's initial weights."""
    first, second, *rest = features
    return ModelConfig(
        convs=(
            ConvConfig(first, 11, stride=4, padding=padding, kernel_stddev=None, then=("relu", "max_pool")),
            ConvConfig(second, 5, padding=2, kernel_stddev=None, then=("relu", "max_pool")),
            *(ConvConfig(count, 3, padding=1, kernel_stddev=None) for count in rest[:-1]),
            ConvConfig(rest[-1], 3, padding=1, kernel_stddev=None, then=("relu", "max_pool")),
        ),
        dense=(DenseConfig(4096, kernel_stddev=None), DenseConfig(4096, kernel_stddev=None)),
        image_size=image_size,
        towers=1,
        dropout=Dropout(place="before", scaled_in="training"),
        head_kernel_stddev=None,
    )


def single_tower() -> ModelConfig:
    """The paper's channels in one tower without normalisation, at 224 pixels with padding 2.

    The code of the layer-table tutorial is this net, but the weights that it loads are those of ``torchvision`` and do
    not fit. "CV学习笔记-Alexnet" describes the same layers and does not say how 224 pixels become 55. The module in the
    shili8 summary is this net for 227 pixels without padding, with dropout after fc6 and fc7.
    """
    return _pytorch((96, 256, 384, 384, 256))


def torchvision() -> ModelConfig:
    """Torchvision's alexnet, the single tower of "One weird trick" (Krizhevsky, 2014): 64-192-384-256-256 channels.

    The weights that the layer-table tutorial loads belong to this net.
    """
    return _pytorch((64, 192, 384, 256, 256))


def single_tower_227() -> ModelConfig:
    """96-192-384-256-256 channels in one tower at 227 pixels without padding: the code of the 227-pixel tutorial.

    The prose of that tutorial describes ``caffenet`` instead.
    """
    return _pytorch((96, 192, 384, 256, 256), image_size=227, padding=0)


def d2l() -> ModelConfig:
    """The AlexNet of the book Dive into Deep Learning (d2l.ai), for grey images: padding 1, 5 x 5 pixels before fc6.

    Dropout follows fc6 and fc7. The book uses Xavier initialisation; the initial weights here are PyTorch's.
    """
    net = _pytorch((96, 256, 384, 384, 256), padding=1)
    return replace(net, classes=10, channels=1, dropout=Dropout(scaled_in="training"))


def slim_v2() -> ModelConfig:
    """TF-Slim's alexnet_v2: 64-192-384-384-256 channels at 224 pixels without padding, so 54, 26, 12 and 5 pixels.

    Dropout follows fc6 and fc7. TF-Slim writes the dense layers as convolutions and uses Xavier initialisation; the
    initial weights here are PyTorch's.
    """
    net = _pytorch((64, 192, 384, 384, 256), padding=0)
    return replace(net, dropout=Dropout(scaled_in="training"))


def one_gpu() -> ModelConfig:
    """The one-GPU net that the paper compares with (section 3.2): the authors' layer file 145-half.

    One tower with the order of layers of ``original``, half of its channels in conv1 to conv4, and all in conv5.
    """
    both = original()
    features = (48, 128, 192, 192, 256)
    convs = (replace(conv, features=count, groups=1) for conv, count in zip(both.convs, features, strict=True))
    return replace(both, convs=tuple(convs), towers=1)


def _cifar10(then: tuple[Operation, ...], activation: Operation = "relu") -> ModelConfig:
    return ModelConfig(
        convs=(
            ConvConfig(64, 5, padding=2, kernel_stddev=0.0001, then=then),
            ConvConfig(64, 5, padding=2, kernel_stddev=0.01, then=then),
            ConvConfig(32, 3, padding=1, kernel_stddev=0.04, then=(activation,)),
            ConvConfig(32, 3, padding=1, kernel_stddev=0.04, then=(activation,)),
        ),
        dense=(),
        classes=10,
        image_size=24,
        towers=1,
        local_response_norm=LocalResponseNorm(k=1.0, alpha=0.001, divide_alpha=True),
        max_pool=MaxPool(rounding="up"),
    )


def cifar10_plain() -> ModelConfig:
    """The four-layer CIFAR-10 net without normalisation, with 13% test error in the paper (section 3.3, Figure 1).

    Based on cuda-convnet's example layers-conv-local-13pct for 24-pixel crops. The third and fourth layers are locally
    connected there, with one kernel for each pixel. Here they are convolutions.
    """
    return _cifar10(("relu", "max_pool"))


def cifar10_norm() -> ModelConfig:
    """``cifar10_plain`` with local response normalisation, which reduces 13% to 11% in the paper (section 3.3).

    Based on cuda-convnet's example layers-conv-local-11pct, with the same difference as ``cifar10_plain``.
    """
    return _cifar10(_RELU_NORM_POOL)


def cifar10_tanh() -> ModelConfig:
    """``cifar10_plain`` with tanh in place of ReLU: the dashed line of Figure 1.

    The net of the figure is not among the published layer files. This one has the layers of ``cifar10_plain``.
    """
    return _cifar10(("tanh", "max_pool"), activation="tanh")


_ALL: tuple[Callable[[], ModelConfig], ...] = (
    paper,
    original,
    one_gpu,
    caffe_alexnet,
    caffenet,
    torchvision,
    single_tower,
    single_tower_227,
    d2l,
    slim_v2,
    cifar10_plain,
    cifar10_norm,
    cifar10_tanh,
    small,
)
VARIANTS = {make.__name__: make for make in _ALL}
"""The functions that make the named nets."""


def variant(name: str) -> ModelConfig:
    """Builds a named net.

    Args:
        name: a key of ``VARIANTS``, which ``alexnet variants`` lists.

    Returns:
        The net's config.

    Raises:
        UsageError: the variant does not exist.
    """
    if name not in VARIANTS:
        raise unknown_name("variant", name, VARIANTS)
    return VARIANTS[name]()
