"""The published runs on CIFAR-10: layer-params-*.cfg of cuda-convnet and cuda-convnet2.

The files of CIFAR-10 have a fixed order in every epoch. Here each epoch has a new one.
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import AugmentConfig, DataConfig, ModelConfig, OptimizerConfig, ScheduleConfig, TrainConfig
from alexnet_jax.variants.cifar10 import cifar10_11pct as net_11pct
from alexnet_jax.variants.cifar10 import cifar10_13pct as net_13pct
from alexnet_jax.variants.cifar10 import cifar10_18pct as net_18pct

_FULL = DataConfig(dataset="cifar10", train_examples=50_000)
_BATCH_5_LATER = DataConfig(
    dataset="cifar10",
    train_split="train[:40000]",
    validation_split="train[40000:]",
    train_examples=40_000,
    fold_in_epoch=350,
)
_RATES = OptimizerConfig(learning_rate=0.001, bias_learning_rate=0.002, weight_decay=0.004)


def _local(model: ModelConfig, decay: tuple[tuple[str, float], ...] = ()) -> TrainConfig:
    return TrainConfig(
        model=model,
        data=_BATCH_5_LATER,
        augment=AugmentConfig(mean_crop="center", pca_colour_noise=0.0),
        optimizer=replace(_RATES, layer_decay=(("conv1", 0.0), ("conv2", 0.0), *decay)),
        schedule=ScheduleConfig(rule="steps", epochs=(537.5, 550), biases="stay"),
        epochs=562,
    )


def cifar10_13pct() -> TrainConfig:
    """The run with 13% test error on CIFAR-10 (cuda-convnet, layer-params-conv-local-13pct.cfg), with several views.

    Rates of 0.001 for weights and 0.002 for biases, momentum 0.9, weight decay 0.004 except in the convolutions. The
    schedule is that of ``cifar10_11pct``, because the file names none. Published: 13% in 25 minutes on a GPU of 2011.
    """
    return _local(net_13pct())


def cifar10_11pct() -> TrainConfig:
    """The run with 11% test error on CIFAR-10 (cuda-convnet, layer-params-conv-local-11pct.cfg), with several views.

    As ``cifar10_13pct``, with weight decay 0.01 in the classifier. The file trains on batches 1 to 4 for about 350
    epochs, until the error on batch 5 stops improving, then on all five for about 150, then twice for 10 epochs with
    the weights' rate divided by 10. Here an epoch has the steps of 40,000 images from start to end, so 10 epochs of
    50,000 images are 12.5. Published: 11% in 75 minutes on a GPU of 2012.
    """
    return _local(net_11pct(), decay=(("fc5", 0.01),))


def cifar10_18pct() -> TrainConfig:
    """The run with 18% test error on CIFAR-10, without augmentation (cuda-convnet, layer-params-18pct.cfg).

    As ``cifar10_13pct``, with weight decay 0.004 in the convolutions and 1 in the classifier. All rates are divided by
    10 after 120 epochs and after 10 more. The file does not say when to stop: after another 10 here. Published: 18% in
    20 minutes on a GPU of 2011.
    """
    return TrainConfig(
        model=net_18pct(),
        data=_FULL,
        augment=AugmentConfig(horizontal_flip=False, pca_colour_noise=0.0),
        optimizer=replace(_RATES, layer_decay=(("fc4", 1.0),)),
        schedule=ScheduleConfig(rule="steps", epochs=(120, 130)),
        epochs=140,
    )
