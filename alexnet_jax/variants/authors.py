"""The nets of the paper's authors: as printed, as run, and the layer files that they compared with.

The layer files are ``layers/layers-NNN.cfg`` in computerhistory/AlexNet-Source-Code, the authors' code of 2012, which
was published in 2025. The errors that a docstring names are those at the end of its ``layer-params-NNN.cfg``: top-1 and
top-5 on the validation images of ILSVRC-2012, averaged over ten crops.
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import ConvConfig, DenseConfig, LocalResponseNorm, MaxPool, ModelConfig, Operation

RELU_NORM_POOL: tuple[Operation, ...] = ("relu", "local_response_norm", "max_pool")
"""The paper's order (sections 3.3 and 3.5)."""


def paper() -> ModelConfig:
    """Two towers, as the paper prints them: sections 3.1 to 3.5 and 4.2, Figure 2, initial values of section 5.

    224-pixel crops without padding give 55 x 55 outputs only if the last window extends past the edge, as it does here.
    Section 3.3 defines N as the number of kernels in the layer, so that as printed the window of the normalisation
    crosses the border between the towers (``local_response_norm.across_towers``). Here it stays inside a tower, as in
    the authors' code: their GPUs did not communicate at these layers (section 3.5).
    """
    return ModelConfig(
        convs=(
            ConvConfig(96, 11, stride=4, rounding="up", then=RELU_NORM_POOL),
            ConvConfig(256, 5, padding=2, groups=2, bias=1.0, then=RELU_NORM_POOL),
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

    Layer files are in computerhistory/AlexNet-Source-Code: ``layers/layers-145.cfg`` and ``layer-params-145.cfg``.
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


def one_gpu() -> ModelConfig:
    """The one-GPU net that the paper compares with (section 3.2): the authors' layer file 145-half.

    One tower with the order of layers of ``original``, half of its channels in conv1 to conv4, and all in conv5.
    Trained on ILSVRC-2010, with test errors of 39.17% / 18.23%. The two towers have 37.47% / 17.00% there.
    """
    both = original()
    features = (48, 128, 192, 192, 256)
    convs = (replace(conv, features=count, groups=1) for conv, count in zip(both.convs, features, strict=True))
    return replace(both, convs=tuple(convs), towers=1)


def layer_file_146() -> ModelConfig:
    """``original`` with a sixth convolution, which reads both towers: the net that was pre-trained on more images.

    Layer file 146: 3 x 3 kernels with padding 1 after the last pooling, standard deviation 0.03, biases 1, ReLU. The
    authors initialised conv1 to conv5 from ``original`` and trained on ImageNet 2009 (10,184 classes): rate 0.001 in
    these layers and 0.01 in the others, 0.001 from epoch 2.16 on, 6.65 epochs. Then on ILSVRC-2012 from rate 0.001
    (conv1 0.0001, 0.00001 at epoch 3, frozen at 4), divided by 10 at epochs 22 and 42, without colour noise from 38,
    for 52 epochs: 39.10% / 16.88%.
    """
    net = original()
    sixth = ConvConfig(256, 3, padding=1, kernel_stddev=0.03, bias=1.0)
    return replace(net, convs=(*net.convs, sixth))


def layer_file_147() -> ModelConfig:
    """``original`` with pooling windows that do not overlap: 2 x 2 pixels, layer file 147.

    conv2 has padding 1 and conv5 none, so that conv3 and fc6 read images of the same sizes. The paper's comparison
    (section 3.4). Run: rate divided by 10 at epochs 23, 51 and 79, conv1 frozen at 79, 90 epochs: 41.06% / 18.51%.
    """
    net = original()
    conv1, conv2, conv3, conv4, conv5 = net.convs
    convs = (conv1, replace(conv2, padding=1), conv3, conv4, replace(conv5, padding=0))
    return replace(net, convs=convs, max_pool=MaxPool(size=2, rounding="up"))


def layer_file_148() -> ModelConfig:
    """``original`` without any normalisation: layer file 148. The paper's comparison (section 3.3).

    Run: rate divided by 10 at epochs 22, 44 and 86, conv1 slower from 69 and frozen from 73, without colour noise from
    69, 97 epochs: 42.03% / 19.36%.
    """
    net = original()
    conv1, conv2, *rest = net.convs
    first, second = replace(conv1, then=("max_pool", "relu")), replace(conv2, then=("relu", "max_pool"))
    return replace(net, convs=(first, second, *rest))


def layer_file_150() -> ModelConfig:
    """``original`` without links between the towers before the classifier: layer file 150.

    conv3, fc6 and fc7 read their own tower. Each tower has 160 channels in conv2 and 4,096 units in fc6, so that the
    net has about as many parameters as ``original``.
    Run: rate divided by 10 at epochs 25, 49 and 79, conv1 slower from 66 and frozen from 72, without colour noise from
    66, 92 epochs: 41.83% / 19.33%.
    """
    net = original()
    conv1, conv2, conv3, *rest = net.convs
    fc6, fc7 = net.dense
    return replace(
        net,
        convs=(conv1, replace(conv2, features=320), replace(conv3, groups=2), *rest),
        dense=(replace(fc6, features=8192, groups=2), replace(fc7, groups=2)),
    )


def layer_file_167() -> ModelConfig:
    """``original`` with normalisation after conv1 only: layer file 167, without the two of conv2.

    Run: an exponential schedule (``dexp[1000,4]``, biases ``dexp[10,2]``), without colour noise from epoch 63, conv1
    frozen from 73; the number of epochs is not recorded: 40.49% / 18.12%.
    """
    net = original()
    conv1, conv2, *rest = net.convs
    return replace(net, convs=(conv1, replace(conv2, then=("relu", "max_pool")), *rest))


def one_weird_trick() -> ModelConfig:
    """The single tower of "One weird trick" (Krizhevsky, 2014): akrizhevsky/cuda-convnet2, layers-imagenet-1gpu.cfg.

    64-192-384-256-256 channels with the order of layers and the initial values of ``original``, without its spatial
    normalisation. The classifier's biases start at -7. ``torchvision`` is this net without normalisation.
    """
    conv1, conv2, conv3, conv4, conv5 = original().convs
    convs = (conv1, replace(conv2, then=RELU_NORM_POOL), conv3, conv4, conv5)
    features = (64, 192, 384, 256, 256)
    return replace(
        original(),
        convs=tuple(replace(conv, features=count, groups=1) for conv, count in zip(convs, features, strict=True)),
        towers=1,
        head_bias=-7.0,
    )
