"""The named runs, each a config with its source, its command and its published results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alexnet_jax.config import AugmentConfig, DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from alexnet_jax.errors import unknown_name
from alexnet_jax.variants import caffe_alexnet, original, paper, small, torchvision


def quickstart() -> TrainConfig:
    """The small two-tower net on 5,000 photos of CIFAR-10 that are part of the package.

    ``alexnet train`` runs it.
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
    """The small two-tower net on the 50,000 training photos of CIFAR-10, 5% of them held out for the schedule.

    ``alexnet train --preset cifar10`` runs it. It needs TFDS's ``cifar10`` in ArrayRecord format.
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

    ``alexnet train --data.dataset FOLDER`` runs it. The paper's first layer (11 x 11 kernels, stride 4) reduces
    112-pixel crops to 27 x 27 pixels. The rest of the net is ``small``.
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
    """Side in pixels of the stored images for ``model``: 256 for crops of 224 (paper, section 2) and of 227."""
    return 256 if model.image_size == 227 else round(model.image_size * 256 / 224)


_IMAGENET = DataConfig(dataset="imagenet2012_256", image_size=256, test_split="validation", train_examples=1_281_167)


def imagenet_paper() -> TrainConfig:
    """The recipe as the paper prints it (sections 4 and 5).

    Batch 128, about 90 epochs, and one learning rate for all layers. The rate is divided by 10 when the validation
    error stops improving, at most three times. The mean image is subtracted. Colour noise is scaled by eigenvalues.
    Published top-1 / top-5 errors with ten crops: 40.7% / 18.2%.
    """
    return TrainConfig(
        model=paper(),
        data=replace(_IMAGENET, validation_split="validation"),
        augment=AugmentConfig(pca_colour_noise_scale="eigenvalue"),
    )


def imagenet_original() -> TrainConfig:
    """The run behind the paper's results: the authors' layer file 145, its logs, and the data code of cuda-convnet2.

    The rate of the weights drops at epochs 25, 51 and 79. The rate of the biases stays at twice the initial rate of the
    weights. conv1 slows down at epoch 67 and is frozen from epoch 72. Colour noise ends at epoch 67. 32 images share
    a crop position. The centre of the mean image is subtracted from every crop.
    Published top-1 / top-5 errors with ten crops: 40.66% / 18.21%.
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

    Batch 256. The rate is divided by 10 every 100,000 steps. Biases have twice the rate of the weights and no decay.
    No colour noise. Published top-1 / top-5 accuracy with the centre crop: 57.1% / 80.2%, errors of 42.9% / 19.8%.
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

    Batch 256 and weight decay 1e-4 on all parameters. The rate is divided by 10 every 30 epochs and is outside the
    velocity. Boxes of 8% to 100% of an image are resized; torchvision takes them from the full photo, and this recipe
    from the stored centre square. Published top-1 / top-5 accuracy with the centre crop: 56.522% / 79.066%, errors of
    43.48% / 20.93%.
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
"""The functions that make the named runs."""


def preset(name: str) -> TrainConfig:
    """Builds a named run.

    Args:
        name: a key of ``PRESETS``, such as ``quickstart`` or ``imagenet_paper``.

    Returns:
        The run's config.

    Raises:
        UsageError: the preset does not exist.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]()
