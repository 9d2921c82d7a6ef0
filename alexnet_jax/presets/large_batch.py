"""NVIDIA's runs of AlexNet with batch normalisation on ILSVRC-2012, in very large batches.

The nets and solvers are in models/alexnet_bn of borisgin/nvcaffe-0.16, by an author of LARS (arXiv 1708.03888). Pixels
have the mean image subtracted and are multiplied by 1/256. The biases have the rate and the decay of the weights. Crops
and reflections are the only augmentation.

With LARS the rate rises as the square of the step from 1 to its base rate, and then it is
``base rate * (1 - step / steps)^2``. The original computes in float16, and these presets in bfloat16, both with float32
weights. Its GPUs each normalise by the statistics of their own part of a batch. Here a batch has parts of 1,024 images
(``micro_batches``), and the running statistics move once in a step, towards the mean over the parts.

Published: about 58% to 59% top-1 accuracy after 100 epochs, in batches of up to 32K (arXiv 1709.05011, in 11 minutes on
1,024 CPUs). The files themselves come without logs. Without LARS and in smaller batches, AlexNet with batch
normalisation reaches 60.4% / 82.5%. None of these runs has been repeated with this project.
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import AugmentConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from alexnet_jax.presets.imagenet import IMAGENET
from alexnet_jax.variants.programs import alexnet_bn

_PART = 1024
"""Images that are normalised together."""


def imagenet_alexnet_bn() -> TrainConfig:
    """Batches of 512 without LARS: solver.prototxt, 250,000 steps, a rate of 0.08 without warm-up, in float32.

    Source: models/alexnet_bn of borisgin/nvcaffe-0.16, which comes without a log. Published for AlexNet with batch
    normalisation by others: 60.4% / 82.5%.
    """
    return _alexnet_bn(512, steps=250_000, rate=0.08, epochs=100)


def imagenet_large_batch_8k() -> TrainConfig:
    """Batches of 8,192 with LARS: solver_8K.prototxt, 15,600 steps, a warm-up from 1 to 10 over 600 steps.

    Source: models/alexnet_bn of borisgin/nvcaffe-0.16. Published: about 58% to 59% top-1 accuracy (arXiv 1709.05011).
    """
    return _with_lars(_alexnet_bn(8192, steps=15_600, rate=10, epochs=100), warm_up=600)


def imagenet_large_batch_16k() -> TrainConfig:
    """Batches of 16,384 with LARS: solver_16k.prototxt, 7,800 steps, a warm-up from 1 to 24 over 400 steps.

    Source: models/alexnet_bn of borisgin/nvcaffe-0.16. Published: about 58% to 59% top-1 accuracy (arXiv 1709.05011).
    """
    return _with_lars(_alexnet_bn(16_384, steps=7_800, rate=24, epochs=100), warm_up=400)


def imagenet_large_batch_32k() -> TrainConfig:
    """Batches of 32,768 with LARS: solver_32k.prototxt, 4,000 steps, a warm-up from 1 to 32 over 400 steps.

    4,000 steps are 102.6 epochs. In the other 17 steps of the last epoch the rate is 0.
    Source: models/alexnet_bn of borisgin/nvcaffe-0.16. Published: about 58% to 59% top-1 accuracy (arXiv 1709.05011).
    """
    return _with_lars(_alexnet_bn(32_768, steps=4_000, rate=32, epochs=103), warm_up=400)


def _alexnet_bn(batch_size: int, steps: int, rate: float, epochs: int) -> TrainConfig:
    """A run whose rate falls from ``rate`` to 0 in ``steps``."""
    config = TrainConfig(
        model=alexnet_bn(),
        data=IMAGENET,
        augment=AugmentConfig(pca_colour_noise=0.0, pixel_scale=1 / 256),
        optimizer=OptimizerConfig(learning_rate=rate, bias_decay=0.0005),
        batch_size=batch_size,
        epochs=epochs,
    )
    return replace(
        config,
        schedule=ScheduleConfig(rule="polynomial", power=2.0, decay_epochs=steps / config.steps_per_epoch),
    )


def _with_lars(config: TrainConfig, warm_up: int) -> TrainConfig:
    """``config`` with LARS, and a warm-up from a rate of 1 over ``warm_up`` steps."""
    warm_up_epochs = warm_up / config.steps_per_epoch
    return replace(
        config,
        optimizer=replace(config.optimizer, rule="lars", lars_trust=0.001),
        schedule=replace(config.schedule, warm_up="quadratic", warm_up_epochs=warm_up_epochs, warm_up_rate=1.0),
        micro_batches=config.batch_size // _PART,
        dtype="bfloat16",
    )
