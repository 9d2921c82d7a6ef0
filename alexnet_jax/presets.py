"""The named runs, each a value with its command, what it needs and what it reaches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alexnet_jax.config import AugmentConfig, DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from alexnet_jax.errors import unknown_name
from alexnet_jax.variants import caffe_alexnet, original, paper, small, torchvision


def quickstart() -> TrainConfig:
    """The small two-tower net on 5,000 photos of CIFAR-10 that come with the package.

    ``alexnet train``: some minutes on two CPU cores.
    """
    return TrainConfig(
        model=small(),
        data=DataConfig(dataset="cifar10_sample", train_examples=5000),
        augment=AugmentConfig(divide_by_stddev=True, pca_colour_noise=0.0),
        optimizer=OptimizerConfig(learning_rate=0.02),
        schedule=ScheduleConfig(rule="steps", epochs=(19, 24)),
        batch_size=32,
        epochs=26,
        evaluate_every=2,
        log_every=52,
    )


def cifar10() -> TrainConfig:
    """The small two-tower net on all 50,000 training photos of CIFAR-10, with a twentieth held out to time the rate.

    ``alexnet train --preset cifar10``, where TFDS has ``cifar10`` prepared as ArrayRecord: an hour or more on
    two CPU cores.
    """
    return replace(
        quickstart(),
        data=DataConfig(dataset="cifar10", validation_fraction=0.05, train_examples=47_500),
        schedule=ScheduleConfig(rule="plateau", patience=4, max_drops=2),
        batch_size=64,
        epochs=60,
        log_every=100,
    )


def photos() -> TrainConfig:
    """A small two-tower net for a folder of a few hundred photos or more.

    ``alexnet train --data.dataset FOLDER``: minutes on two CPU cores for a few hundred photos. The paper's first
    layer (11 x 11 kernels, stride 4) reduces 112-pixel crops to 27 x 27 pixels, the rest of the net is ``small``.
    """
    net = small()
    conv1 = replace(net.convs[0], kernel_size=11, stride=4, padding=0, rounding="up", kernel_stddev=0.074)
    return replace(
        quickstart(),
        model=replace(net, convs=(conv1, *net.convs[1:]), image_size=112),
        data=DataConfig(image_size=128, test_fraction=0.2, train_examples=None),
        schedule=ScheduleConfig(rule="steps", epochs=(30, 36)),
        batch_size=16,
        epochs=40,
        log_every=20,
    )


def stored_size(model: ModelConfig) -> int:
    """Side in pixels of the images to store for crops of ``model``'s size: 256 for 224 (paper, section 2) and 227."""
    return 256 if model.image_size == 227 else round(model.image_size * 256 / 224)


_IMAGENET = DataConfig(dataset="imagenet2012_256", image_size=256, test_split="validation", train_examples=1_281_167)


def imagenet_paper() -> TrainConfig:
    """The recipe as the paper prints it, sections 4 and 5.

    Batch 128, about 90 epochs, one rate for all layers, divided by ten when the validation error stops improving,
    three times at most; the mean image subtracted; colour noise along the components of the colours, whose text
    multiplies by eigenvalues. Published for such a net: errors of 40.7 / 18.2 with ten crops.
    """
    return TrainConfig(
        model=paper(),
        data=replace(_IMAGENET, validation_split="validation"),
        augment=AugmentConfig(pca_colour_noise_scale="eigenvalue"),
    )


def imagenet_original() -> TrainConfig:
    """The run behind the paper's figures: the authors' layer file 145, its logs, and their later code's data provider.

    The weights' rate drops at epochs 25, 51 and 79 and the biases' stays at twice its first value; conv1 slows down at
    67 and stands still from 72; the noise ends at 67; 32 images share a crop; the centre of the mean image is
    subtracted from every crop. Published: errors of 40.66 / 18.21 with ten crops.
    """
    return TrainConfig(
        model=original(),
        data=_IMAGENET,
        augment=AugmentConfig(
            images_per_crop=32, mean_crop="center", pca_colour_noise_until=67, pca_colour_noise_divisor=1.1
        ),
        optimizer=OptimizerConfig(bias_learning_rate=0.02),
        schedule=ScheduleConfig(
            rule="steps", epochs=(25, 51, 79), biases="stay", layer_rates=(("conv1", 67, 0.1), ("conv1", 72, 0.0))
        ),
        epochs=91,
    )


def imagenet_caffe() -> TrainConfig:
    """Caffe's recipe for bvlc_alexnet (BVLC/caffe, models/bvlc_alexnet/solver.prototxt and train_val.prototxt).

    Batch 256, the rate divided by ten every 100,000 steps, biases at twice the weights' rate and without decay,
    no colour noise. Published: 57.1% / 80.2% of the validation images right, so errors of 42.9 / 19.8, centre crop.
    """
    return TrainConfig(
        model=caffe_alexnet(),
        data=_IMAGENET,
        augment=AugmentConfig(pca_colour_noise=0.0),
        optimizer=OptimizerConfig(bias_learning_rate=0.02),
        schedule=ScheduleConfig(
            rule="steps", epochs=tuple(count * 100_000 / (1_281_167 // 256) for count in (1, 2, 3, 4))
        ),
        batch_size=256,
    )


def imagenet_torchvision() -> TrainConfig:
    """The recipe of torchvision's reference training for its alexnet (references/classification).

    Batch 256, weight decay 1e-4 on everything, the rate divided by ten every 30 epochs and outside the velocity;
    parts of 8% to 100% of an image, resized. Those are parts of the stored centre square here, and of the whole photo
    there. Published: 56.522% / 79.066% of the validation images right, so errors of 43.48 / 20.93, centre crop.
    """
    return TrainConfig(
        model=torchvision(),
        data=_IMAGENET,
        augment=AugmentConfig(random_crop="resize", mean="channel", divide_by_stddev=True, pca_colour_noise=0.0),
        optimizer=OptimizerConfig(weight_decay=1e-4, bias_decay=1e-4, rule="optax_sgd"),
        schedule=ScheduleConfig(rule="steps", epochs=(30, 60)),
        batch_size=256,
    )


_ALL: tuple[Callable[[], TrainConfig], ...] = (
    quickstart,
    cifar10,
    photos,
    imagenet_paper,
    imagenet_original,
    imagenet_caffe,
    imagenet_torchvision,
)
PRESETS = {make.__name__: make for make in _ALL}
"""Each named run by its name."""


def preset(name: str) -> TrainConfig:
    """Builds a named run.

    Args:
        name: a key of ``PRESETS``, such as ``quickstart`` or ``imagenet_paper``.

    Returns:
        The run's config.

    Raises:
        UsageError: there is no such preset.

    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]()
