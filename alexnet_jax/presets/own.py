"""This project's own runs, which are not published anywhere."""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import AugmentConfig, DataConfig, DenseConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from alexnet_jax.presets.imagenet import imagenet_torchvision
from alexnet_jax.variants.programs import torchvision
from alexnet_jax.variants.small import small


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
        steps_per_dispatch=4,
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
        steps_per_dispatch=1,
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
        steps_per_dispatch=1,
        log_every=20,
    )


def finetune() -> TrainConfig:
    """A new classifier on the trained convolutions of torchvision's AlexNet, for a small set of photos.

    ``alexnet train --preset finetune`` runs it on the 5,000 photos of ``quickstart``, scaled up to 160 pixels, and
    ``alexnet train --init torchvision_features --data.dataset FOLDER`` on a folder. It is not published anywhere. The
    convolutions are frozen, so the outputs of pool5 are computed once for each photo and its reflection. The classifier
    is a hidden layer of 1,024 units with dropout of its inputs. The probabilities of an image and its reflection are
    averaged. Size, units, rate, decay, smoothing and views were chosen by the error on 1,000 of the training photos,
    not on the test photos.
    """
    recipe, net = imagenet_torchvision(), torchvision()
    return TrainConfig(
        model=replace(net, dense=(DenseConfig(1024, kernel_stddev=None),), image_size=160, towers=2),
        data=DataConfig(image_size=160, test_fraction=0.2, train_examples=5000),
        augment=replace(recipe.augment, random_crop="center"),
        optimizer=OptimizerConfig(
            rule="optax.adamw",
            learning_rate=5e-4,
            weight_decay=0.5,
            frozen=("conv1", "conv2", "conv3", "conv4", "conv5"),
        ),
        schedule=ScheduleConfig(rule="cosine"),
        label_smoothing=0.1,
        batch_size=64,
        epochs=15,
        init="torchvision_features",
        evaluate_every=5,
        views="center-flip",
    )


def finetune_linear() -> TrainConfig:
    """``finetune`` with a linear classifier on pool5: the smallest head, for a handful of photos per class.

    ``alexnet train --preset finetune_linear`` runs it. It is not published anywhere.
    """
    recipe = finetune()
    return replace(recipe, model=replace(recipe.model, dense=()))


def imagenet_modern() -> TrainConfig:
    """This project's own recipe for torchvision's net with today's methods. It is not published anywhere.

    It has not been run on ImageNet, so no accuracy is claimed. It differs from ``imagenet_torchvision`` in a batch of
    1,024 and a rate in proportion to it, a linear warm-up of five epochs, a cosine to zero, Nesterov momentum, label
    smoothing of 0.1, no decay of the biases, and a moving average of the weights.
    """
    recipe = imagenet_torchvision()
    return replace(
        recipe,
        optimizer=replace(recipe.optimizer, learning_rate=0.04, bias_decay=0.0, nesterov=True, ema_decay=0.9999),
        schedule=ScheduleConfig(rule="cosine", warm_up_epochs=5),
        label_smoothing=0.1,
        batch_size=1024,
    )
