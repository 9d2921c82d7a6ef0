import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexnet_jax.config import (
    AugmentConfig,
    ConvConfig,
    DataConfig,
    Dropout,
    MaxPool,
    OptimizerConfig,
    ScheduleConfig,
)
from alexnet_jax.config.serialize import differences
from alexnet_jax.errors import UsageError
from alexnet_jax.presets import PRESETS, preset
from alexnet_jax.variants import VARIANTS, variant

PAPER = variant("paper")


def frozen(layer):
    return dataclasses.replace(preset("quickstart"), optimizer=OptimizerConfig(frozen=(layer,)))


def slowed(*entry):
    return dataclasses.replace(preset("quickstart"), schedule=ScheduleConfig("steps", layer_rates=(entry,)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvConfig(0, 3), "model.convs.features is 0: use a number above 0"),
        (lambda: ConvConfig(8, 3, padding=-1), "model.convs.padding is -1: use 0 or more"),
        (lambda: MaxPool(size=1), "model.max_pool.size is 1: use the stride, 2, or more"),
        (lambda: Dropout(rate=1.0), "model.dropout.rate is 1.0: use a fraction, at least 0 and below 1"),
        (lambda: OptimizerConfig(learning_rate=-0.1), "optimizer.learning_rate is -0.1"),
        (lambda: OptimizerConfig(bias_learning_rate=-1), "optimizer.bias_learning_rate is -1"),
        (lambda: ScheduleConfig(epochs=(3, 1)), "schedule.epochs is .* use ascending epochs"),
        (lambda: ScheduleConfig(power=0), "schedule.power is 0: use a number above 0"),
        (lambda: ScheduleConfig(warm_up_epochs=-1), "schedule.warm_up_epochs is -1: use 0 or more"),
        (lambda: DataConfig(validation_split="v", validation_fraction=0.1), "data.validation_fraction is 0.1"),
        (lambda: dataclasses.replace(PAPER, image_size=20), "model.image_size is 20: .* has no pixels left"),
        (lambda: dataclasses.replace(PAPER, towers=3), "model.towers is 3"),
        (lambda: dataclasses.replace(PAPER, convs=()), "model.convs is "),
        (
            lambda: dataclasses.replace(PAPER, convs=(ConvConfig(97, 11, stride=4), *PAPER.convs[1:])),
            "model.convs.0.features is 97: 2 towers cannot divide it, use a multiple of 2",
        ),
        (
            lambda: dataclasses.replace(PAPER, convs=(ConvConfig(96, 11, groups=2), *PAPER.convs[1:])),
            "every tower reads the image",
        ),
        (lambda: dataclasses.replace(PAPER, towers=1), "model.convs.1.groups is 2"),
        (
            lambda: dataclasses.replace(preset("quickstart"), model=PAPER),
            "data.image_size is 32: use at least 224",
        ),
        (lambda: dataclasses.replace(preset("quickstart"), batch_size=6000), "batch_size is 6000: use at most 5000"),
        (lambda: frozen("conv9"), "optimizer.frozen is 'conv9': use one of conv1,"),
        (lambda: slowed("conv9", 0, 1), "schedule.layer_rates is 'conv9': use one of conv1,"),
        (lambda: slowed("conv1", 0, -1), "schedule.layer_rates is .*use 0 or more"),
        (lambda: AugmentConfig(random_crop="resize", mean_crop="center"), "augment.mean_crop is 'center': use 'same'"),
        (
            lambda: dataclasses.replace(preset("quickstart"), augment=AugmentConfig(images_per_crop=5)),
            "augment.images_per_crop is 5: use a divisor of the batch size, 32",
        ),
        (lambda: variant("papper"), "unknown variant 'papper': did you mean paper"),
        (lambda: preset("zzz"), "unknown preset 'zzz': choose from cifar10, imagenet_caffe"),
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_in_one_line(make, message):
    with pytest.raises(UsageError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [*VARIANTS, *PRESETS])
def test_docstring_names_the_source(name):
    made = VARIANTS.get(name) or PRESETS[name]
    assert len(made.__doc__.splitlines()) > 2


@given(st.floats(1e-5, 1), st.integers(1, 100))
def test_differences_name_nested_fields(rate, epochs):
    old = preset("quickstart")
    new = dataclasses.replace(old, epochs=epochs, optimizer=OptimizerConfig(learning_rate=rate))
    names = {name for name, before, after in differences(old, new)}
    assert ("optimizer.learning_rate" in names) == (rate != old.optimizer.learning_rate)
    assert ("epochs" in names) == (epochs != old.epochs)
