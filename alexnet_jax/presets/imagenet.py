"""The published runs on ILSVRC-2012. Their accuracies are those on its 50,000 validation images.

Published top-1 / top-5 accuracies, with one crop except where noted:

- the authors' net and code: 59.3% / 81.8% with ten crops, 57.4% / 80.2% in the code of 2014 (59.6% / 81.9% with ten);
- Caffe: bvlc_alexnet 57.1% / 80.2%, CaffeNet 57.4% / 80.4%; NVIDIA's log of bvlc_alexnet 58.6% / 81.3%;
- theano_alexnet 57.4% / 80.1%, neon (without groups) 58.6% / 81.1%, torchvision 56.5% / 79.1%;
- OneFlow 54.8% / 78.2%, TensorFlow's benchmarks 54.6% / 78.3%, Kempner Institute 53.9% / 77.0%.

The 50,000 images are the test split. Images are stored by ``alexnet prepare imagenet2012``: the shorter side scaled to
256 pixels with bicubic interpolation, and the centre cropped. Each epoch has a new order of the images; the authors'
code read its files in the same order every epoch.
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import AugmentConfig, DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from alexnet_jax.variants.authors import (
    layer_file_147,
    layer_file_148,
    layer_file_150,
    one_weird_trick,
    original,
    paper,
)
from alexnet_jax.variants.programs import caffe_alexnet, shili8, torchvision

IMAGENET = DataConfig(dataset="imagenet2012_256", image_size=256, test_split="validation", train_examples=1_281_167)


def imagenet_paper() -> TrainConfig:
    """The recipe as the paper prints it (sections 4 and 5).

    Batch 128, about 90 epochs, and one learning rate for all layers. The rate is divided by 10 when the validation
    error stops improving, at most three times; the validation images are those of the test. The mean image is
    subtracted. Colour noise is scaled by the eigenvalues of pixels in 0..1 (``augment.pca_colour_noise_scale``). The
    crops have 33 x 33 offsets, 2,178 views with reflections, where section 4.1 says 2,048.

    No run of exactly this recipe is published. The paper's errors, 40.7% / 18.2% with ten crops, are those of
    ``imagenet_original``. Programs that follow the text reach 53.9% to 58.6% top-1 accuracy with one crop, such as
    theano_alexnet with 57.4% / 80.1%. Biases of 1 with weights of 0.01 often keep the loss at 6.9; see
    ``imagenet_caffe``.
    """
    return TrainConfig(
        model=paper(),
        data=replace(IMAGENET, validation_split="validation"),
        augment=AugmentConfig(pca_colour_noise_scale="eigenvalue"),
    )


def imagenet_original() -> TrainConfig:
    """The run behind the paper's results: the authors' layer file 145 and its log, and their data code.

    The rate of the weights drops at epochs 25, 51 and 79, in conv1 also at 67. The rate of the biases stays at twice
    the initial rate of the weights. conv1 is frozen from epoch 72. Colour noise ends at epoch 67, and with it a
    division of the pixels by 1.1. 32 images share a crop and a flip, as in the code of 2012; that of 2014 draws one for
    each image. The centre of the mean image is subtracted from every crop, after the flip.

    Published top-1 / top-5 errors with ten crops: 40.66% / 18.21%, the paper's 40.7% / 18.2%. With the rate raised
    again to 0.001 and 44 more epochs: 40.25% / 17.99%.
    """
    return _layer_file(original(), drops=(25, 51, 79), conv1=(67, 72), noise_until=67, epochs=91)


def _layer_file(
    model: ModelConfig, drops: tuple[float, ...], conv1: tuple[float, float], noise_until: float | None, epochs: int
) -> TrainConfig:
    """A run of the authors' code of 2012.

    Args:
        model: the net.
        drops: the epochs at which the rate of the weights is divided by 10.
        conv1: the epoch at which the rate of conv1's weights is divided by 10, and that from which conv1 is frozen.
        noise_until: the epoch at which colour noise ends.
        epochs: the epoch at which the run was stopped.
    """
    return TrainConfig(
        model=model,
        data=IMAGENET,
        augment=AugmentConfig(
            images_per_crop=32,
            mean_crop="center",
            pca_colour_noise_until=noise_until,
            pca_colour_noise_divisor=1.1,
        ),
        optimizer=OptimizerConfig(bias_learning_rate=0.02),
        schedule=ScheduleConfig(
            rule="steps",
            epochs=drops,
            biases="stay",
            layer_rates=(("conv1", conv1[0], 0.1), ("conv1", conv1[1], 0.0)),
        ),
        epochs=epochs,
    )


def imagenet_layer_file_147() -> TrainConfig:
    """The authors' run of ``layer_file_147``, pooling without overlap: as ``imagenet_original``, except for its log.

    The biases' rate at the end of the run is 0.002; the log does not say when it changed, so it stays at 0.02 here.
    Published top-1 / top-5 errors with ten crops: 41.06% / 18.51%.
    """
    return _layer_file(layer_file_147(), drops=(23, 51, 79), conv1=(79, 79), noise_until=None, epochs=90)


def imagenet_layer_file_148() -> TrainConfig:
    """The authors' run of ``layer_file_148``, without normalisation: as ``imagenet_original``, except for its log.

    Published top-1 / top-5 errors with ten crops: 42.03% / 19.36%.
    """
    return _layer_file(layer_file_148(), drops=(22, 44, 86), conv1=(69, 73), noise_until=69, epochs=97)


def imagenet_layer_file_150() -> TrainConfig:
    """The authors' run of ``layer_file_150``, towers without links: as ``imagenet_original``, except for its log.

    Published top-1 / top-5 errors with ten crops: 41.83% / 19.33%.
    """
    return _layer_file(layer_file_150(), drops=(25, 49, 79), conv1=(66, 72), noise_until=66, epochs=92)


def imagenet_one_weird_trick() -> TrainConfig:
    """The one-GPU run of "One weird trick": cuda-convnet2, layers/layer-params-imagenet-1gpu.cfg and convdata.py.

    Batch 128. In steps at a quarter, a half and three quarters of the run, the rate of the weights falls from 0.01 to
    a 250th. That of the biases falls from 0.02 to 0.002 at the half. Colour noise, crops and reflections to the end;
    pixels are divided by 1.1. The length of 90 epochs is that of the project's example command.

    Published top-1 / top-5 accuracy: 57.45% / 80.19% with one crop, 59.58% / 81.85% with ten.
    """
    epochs = 90
    return TrainConfig(
        model=one_weird_trick(),
        data=IMAGENET,
        augment=AugmentConfig(mean_crop="center", pca_colour_noise_divisor=1.1),
        optimizer=OptimizerConfig(bias_learning_rate=0.02),
        schedule=ScheduleConfig(
            rule="steps",
            factor=250 ** (-1 / 3),
            epochs=(epochs / 4, epochs / 2, 3 * epochs / 4),
            biases="steps",
            bias_factor=0.1,
            bias_epochs=(epochs / 2,),
        ),
        epochs=epochs,
    )


def imagenet_caffe() -> TrainConfig:
    """Caffe's recipe for bvlc_alexnet (BVLC/caffe, models/bvlc_alexnet/solver.prototxt and train_val.prototxt).

    Batch 256, 450,000 steps. The rate is divided by 10 every 100,000 steps. Biases have twice the rate of the weights
    and no decay. No colour noise. Caffe's own preparation of ImageNet squashes images to 256 x 256 pixels; `alexnet
    prepare imagenet2012 --resize squash` and `--data.dataset imagenet2012_256_squash` do the same.

    Published top-1 / top-5 accuracy with the centre crop: 57.1% / 80.2% for the snapshot at step 360,000. NVIDIA's log
    of the same net in batches of 1,024, with a polynomial rate: 58.6% / 81.3% after 100 epochs. CaffeNet: 57.4% /
    80.4%. The loss leaves 6.9 within the first thousands of steps.
    """
    steps_per_epoch = 1_281_167 // 256
    return TrainConfig(
        model=caffe_alexnet(),
        data=IMAGENET,
        augment=AugmentConfig(pca_colour_noise=0.0),
        optimizer=OptimizerConfig(bias_learning_rate=0.02),
        schedule=ScheduleConfig(
            rule="steps", epochs=tuple(count * 100_000 / steps_per_epoch for count in (1, 2, 3, 4))
        ),
        batch_size=256,
    )


def imagenet_nvcaffe() -> TrainConfig:
    """NVIDIA's run of bvlc_alexnet in batches of 1,024, of which the whole log is published.

    The log is models/bvlc_alexnet/logs/alexnet_fp32.log of borisgin/nvcaffe-0.16 (2017): 8 GPUs, 125,000 steps in 2
    hours 8 minutes. The rate is 0.02 (1 - step / 125,000)^2, above a lowest rate of 5e-6. The log's net sets no
    ``lr_mult`` and no ``decay_mult``, so the biases have the rate and the decay of the weights. No colour noise.

    The curve to expect is that of the log. The loss of a training batch is 6.92 at step 0, 6.89 at 100, 6.76 at 200 and
    3.01 at 5,000. Top-1 / top-5 accuracies of one crop, over 200 batches of 32 validation images, so within about 0.6%
    of those of all 50,000::

        step       5,000  10,000  20,000  40,000  65,000  90,000  110,000  125,000
        top-1 (%)   33.0    40.1    45.4    52.5    54.6    56.3     58.1     58.6
        top-5 (%)   58.0    64.9    70.5    76.4    78.2    79.6     81.0     81.3

    The loss of these images falls from 3.19 at step 5,000 to 1.82 at the end.
    """
    steps_per_epoch = 1_281_167 // 1024
    return TrainConfig(
        model=caffe_alexnet(),
        data=IMAGENET,
        augment=AugmentConfig(pca_colour_noise=0.0),
        optimizer=OptimizerConfig(learning_rate=0.02, bias_decay=0.0005),
        schedule=ScheduleConfig(rule="polynomial", power=2.0, decay_epochs=125_000 / steps_per_epoch, final_rate=5e-6),
        batch_size=1024,
        epochs=100,
    )


def imagenet_torchvision() -> TrainConfig:
    """The recipe of torchvision's reference training for its alexnet (references/classification).

    Batch 256 and weight decay 1e-4 on all parameters. The rate is divided by 10 every 30 epochs and is outside the
    velocity. Pixels are normalised with ImageNet's constants. Boxes of 8% to 100% of an image are resized; torchvision
    takes them from the full photo, and this recipe from the stored centre square.

    Published top-1 / top-5 accuracy with the centre crop: 56.522% / 79.066%.
    """
    return TrainConfig(
        model=torchvision(),
        data=IMAGENET,
        augment=AugmentConfig(
            random_crop="resize",
            mean="channel",
            divide_by_stddev=True,
            statistics="imagenet",
            pca_colour_noise=0.0,
        ),
        optimizer=OptimizerConfig(weight_decay=1e-4, bias_decay=1e-4, rule="optax_sgd"),
        schedule=ScheduleConfig(rule="steps", epochs=(30, 60)),
        batch_size=256,
    )


def imagenet_shili8() -> TrainConfig:
    """The recipe of the post "【动手学深度学习】--12.深度卷积神经网络AlexNet" (shili8.cn, 2025-02-08) for ``shili8``.

    Batch 32, 10 epochs, a constant rate of 0.01, momentum 0.9 without weight decay, ImageNet's constants, and the
    centre crop in training as well. The post reports no accuracy. Its crops have 224 pixels, which its net cannot read;
    these have 227.
    """
    return TrainConfig(
        model=shili8(),
        data=IMAGENET,
        augment=AugmentConfig(
            random_crop="center",
            horizontal_flip=False,
            mean="channel",
            divide_by_stddev=True,
            statistics="imagenet",
            pca_colour_noise=0.0,
        ),
        optimizer=OptimizerConfig(weight_decay=0.0, rule="optax_sgd"),
        schedule=ScheduleConfig(rule="steps"),
        batch_size=32,
        epochs=10,
    )
