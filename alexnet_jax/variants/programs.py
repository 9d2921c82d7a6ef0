"""The nets of other programs and of tutorials."""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import ConvConfig, DenseConfig, Dropout, LocalResponseNorm, MaxPool, ModelConfig, Operation
from alexnet_jax.variants.authors import RELU_NORM_POOL


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
    return _caffe(bias=0.1, then=RELU_NORM_POOL)


def caffenet() -> ModelConfig:
    """Caffe's CaffeNet (BVLC/caffe, models/bvlc_reference_caffenet): pooling before normalisation, biases of 1.

    The prose of "卷积神经网络-AlexNet" (kaopuke.com) describes this order and these sizes (227, and 6 x 6 from 13). It
    calls the normalisation "BN" and lets conv2 and conv4 read both towers, which neither Caffe nor the paper does.
    """
    return _caffe(bias=1.0, then=("relu", "max_pool", "local_response_norm"))


def alexnet_bn() -> ModelConfig:
    """NVIDIA's alexnet_bn for large batches (borisgin/nvcaffe-0.16, models/alexnet_bn/train_val2_fp16.prototxt).

    ``caffe_alexnet`` with batch normalisation before conv2 to conv5, without scale and shift, in place of local
    response normalisation. The biases of the convolutions and of fc8 start at 0.01.

    There, the moving averages start as the statistics of the first batch, and here at mean 0 and variance 1, whose
    weight falls below 1e-4 within 90 steps.
    """
    caffe = caffe_alexnet()
    thens: tuple[tuple[Operation, ...], ...] = (
        ("relu", "max_pool", "batch_norm"),
        ("relu", "max_pool", "batch_norm"),
        ("relu", "batch_norm"),
        ("relu", "batch_norm"),
        ("relu", "max_pool"),
    )
    convs = tuple(replace(conv, bias=0.01, then=then) for conv, then in zip(caffe.convs, thens, strict=True))
    return replace(caffe, convs=convs, head_bias=0.01)


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

    The code of the post "AlexNet网络的Pytorch实现" is this net; ``alexnet summary single_tower --format torchsummary``
    prints its layer table. The weights that the code loads are those of ``torchvision`` and do not fit. The post
    "CV学习笔记-Alexnet" describes the same channels, and does not say how 224 pixels become 55. ``shili8`` has the same
    layers at 227 pixels.
    """
    return _pytorch((96, 256, 384, 384, 256))


def torchvision() -> ModelConfig:
    """Torchvision's alexnet, the single tower of "One weird trick" (Krizhevsky, 2014): 64-192-384-256-256 channels.

    It has no normalisation; ``one_weird_trick`` is the net of that article's code.
    """
    return _pytorch((64, 192, 384, 256, 256))


def single_tower_227() -> ModelConfig:
    """96-192-384-256-256 channels in one tower at 227 pixels without padding.

    The code of "卷积神经网络-AlexNet" (kaopuke.com), whose prose describes ``caffenet`` instead.
    """
    return _pytorch((96, 192, 384, 256, 256), image_size=227, padding=0)


def shili8() -> ModelConfig:
    """The layers of ``single_tower`` at 227 pixels without padding, and dropout after fc6 and fc7.

    The code of "【动手学深度学习】--12.深度卷积神经网络AlexNet" (shili8.cn, 2025-02-08), a summary of a chapter of Dive
    into Deep Learning. It reads 224-pixel crops, which give 5 x 5 pixels before fc6, where its fc6 needs 6 x 6. At 227
    pixels it works unchanged.
    """
    net = _pytorch((96, 256, 384, 384, 256), image_size=227, padding=0)
    return replace(net, dropout=Dropout(scaled_in="training"))


def d2l() -> ModelConfig:
    """The AlexNet of the book Dive into Deep Learning (d2l.ai), for grey images: padding 1, 5 x 5 pixels before fc6.

    Dropout follows fc6 and fc7. The book uses Xavier initialisation; the initial weights here are PyTorch's.
    """
    net = _pytorch((96, 256, 384, 384, 256), padding=1)
    return replace(net, classes=10, channels=1, dropout=Dropout(scaled_in="training"))


def slim_v2() -> ModelConfig:
    """TF-Slim's alexnet_v2: 64-192-384-384-256 channels at 224 pixels without padding, so 54, 26, 12 and 5 pixels.

    tensorflow/models, research/slim/nets/alexnet.py. Dropout follows fc6 and fc7. Xavier initialisation in the
    convolutions, truncated normals of 0.005 in the dense layers, which TF-Slim writes as convolutions. Biases start at
    0.1, those of fc8 at 0.
    """
    net = _pytorch((64, 192, 384, 384, 256), padding=0)
    return replace(
        net,
        convs=tuple(replace(conv, uniform="xavier", bias=0.1) for conv in net.convs),
        dense=tuple(replace(dense, kernel_stddev=0.005, truncate=True, bias=0.1) for dense in net.dense),
        dropout=Dropout(scaled_in="training"),
        head_kernel_stddev=0.005,
        head_truncate=True,
    )
