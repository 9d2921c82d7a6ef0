"""The named nets, each a value with its source. A new published AlexNet is a new value here, not a new class.

"Texts" 000 to 004 are the five tutorials that this project began from. 000: a Chinese layer-by-layer walk with code
for 227-pixel images; 001: notes on computer vision; 002: a retelling of Dive into Deep Learning's chapter; 003: an
explanation of the layers, without code; 004: a PyTorch implementation with its printed layer table.
"""

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


def _caffe(bias: float, then: tuple[Operation, ...]) -> ModelConfig:
    """What Caffe's two nets share: ``paper`` at 227 pixels with Caffe's normalisation, pooling and first weights."""
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

    Against ``paper``: k = 1 and alpha over the window, whose reach crosses the border between the towers; biases that
    the paper sets to 1 begin at 0.1, and fc6 and fc7 with half the width; dropout is made up for in training.
    """
    return _caffe(bias=0.1, then=_RELU_NORM_POOL)


def caffenet() -> ModelConfig:
    """Caffe's CaffeNet (BVLC/caffe, models/bvlc_reference_caffenet): pooling before normalisation, biases of 1.

    Text 000 describes this order. It calls the normalisation "BN" and lets conv2 and conv4 read both towers,
    which neither Caffe nor the paper does; its sizes (227, and 6 x 6 from 13) are those of this net.
    """
    return _caffe(bias=1.0, then=("relu", "max_pool", "local_response_norm"))


def _pytorch(features: tuple[int, int, int, int, int], image_size: int = 224, padding: int = 2) -> ModelConfig:
    """One tower in the style of torchvision: no normalisation, dropout before fc6 and fc7, PyTorch's first weights."""
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
    """The paper's channels in one tower without normalisation: texts 001, 002 and 004, at 224 pixels, padding 2.

    Text 004's code is this net; the weights it loads are of ``torchvision`` and do not fit. Text 001 puts the output
    size where the kernel belongs; text 002's code pads nothing, reaches 5 x 5 and then fails at its 6 x 6 layer, and
    has dropout after fc6 and fc7: this is the nearest net that runs.
    """
    return _pytorch((96, 256, 384, 384, 256))


def torchvision() -> ModelConfig:
    """Torchvision's alexnet, the single tower of "One weird trick" (Krizhevsky 2014): 64-192-384-256-256 channels.

    The net of the weights that text 004 names.
    """
    return _pytorch((64, 192, 384, 256, 256))


def single_tower_227() -> ModelConfig:
    """96-192-384-256-256 channels in one tower at 227 pixels without padding: the code of text 000.

    The text around that code describes ``caffenet`` instead.
    """
    return _pytorch((96, 192, 384, 256, 256), image_size=227, padding=0)


def d2l() -> ModelConfig:
    """The AlexNet of the book Dive into Deep Learning (d2l.ai), for grey images: padding 1, 5 x 5 pixels before fc6.

    Dropout follows fc6 and fc7. The book draws its first weights by Xavier's rule; here they are PyTorch's.
    """
    net = _pytorch((96, 256, 384, 384, 256), padding=1)
    return replace(net, classes=10, channels=1, dropout=Dropout(scaled_in="training"))


def slim_v2() -> ModelConfig:
    """TF-Slim's alexnet_v2: 64-192-384-384-256 channels at 224 pixels without padding, so 54, 26, 12 and 5 pixels.

    Dropout follows fc6 and fc7. Slim writes the dense layers as convolutions and draws by Xavier's rule; the
    first weights here are PyTorch's.
    """
    net = _pytorch((64, 192, 384, 384, 256), padding=0)
    return replace(net, dropout=Dropout(scaled_in="training"))


def one_gpu() -> ModelConfig:
    """The paper's one-GPU net for comparison (section 3.2): the authors' layer file 145-half.

    Half of ``original``'s channels in conv1 to conv4 and all of them in conv5, in one tower, with its order of layers.
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
    """The four-layer CIFAR-10 net of 13% test error without normalisation (section 3.3; Figure 1's solid line).

    After cuda-convnet's example layers-conv-local-13pct on 24-pixel crops. Its third and fourth layers are locally
    connected, a kernel for each pixel; here they are convolutions and share their kernels.
    """
    return _cifar10(("relu", "max_pool"))


def cifar10_norm() -> ModelConfig:
    """``cifar10_plain`` with local response normalisation, which brings 13% down to 11% (section 3.3).

    After cuda-convnet's example layers-conv-local-11pct, with the same difference as ``cifar10_plain``.
    """
    return _cifar10(_RELU_NORM_POOL)


def cifar10_tanh() -> ModelConfig:
    """``cifar10_plain`` with tanh for ReLU: Figure 1's dashed line.

    The figure's net is not among the published layer files; this one has the layers of its ReLU partner.
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
"""Each named net by its name."""


def variant(name: str) -> ModelConfig:
    """Builds a named net.

    Args:
        name: a key of ``VARIANTS``, which ``alexnet variants`` lists.

    Returns:
        The net's config.

    Raises:
        UsageError: there is no such variant.

    """
    if name not in VARIANTS:
        raise unknown_name("variant", name, VARIANTS)
    return VARIANTS[name]()
