import dataclasses
import math
import re
import typing

import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alexnet_jax.config import (
    AugmentConfig,
    BatchNorm,
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
from alexnet_jax.training.optimizer.schedule import Plateau, learning_rates
from alexnet_jax.variants import VARIANTS, variant
from tests.helpers.command import alexnet

PAPER = variant("paper")


def with_layer(kind, index, **changes):
    layers = list(getattr(PAPER, kind))
    layers[index] = dataclasses.replace(layers[index], **changes)
    return dataclasses.replace(PAPER, **{kind: tuple(layers)})


def frozen(layer):
    return dataclasses.replace(preset("quickstart"), optimizer=OptimizerConfig(frozen=(layer,)))


def slowed(*entry):
    return dataclasses.replace(preset("quickstart"), schedule=ScheduleConfig("steps", layer_rates=(entry,)))


MISTAKES = [
    (lambda: with_layer("convs", 1, features=0), "model.convs.1.features is 0: use a number above 0"),
    (lambda: with_layer("convs", 2, padding=-1), "model.convs.2.padding is -1: use 0 or more"),
    (lambda: with_layer("dense", 0, kernel_stddev=0.0), "model.dense.0.kernel_stddev is 0.0: use a number above 0"),
    (lambda: MaxPool(size=1), "model.max_pool.size is 1: use the stride, 2, or more"),
    (lambda: Dropout(rate=1.0), "model.dropout.rate is 1.0: use a fraction, at least 0 and below 1"),
    (lambda: BatchNorm(decay="0.9"), "model.batch_norm.decay is '0.9'"),
    (lambda: OptimizerConfig(learning_rate=-0.1), "optimizer.learning_rate is -0.1"),
    (lambda: OptimizerConfig(bias_learning_rate=-1), "optimizer.bias_learning_rate is -1"),
    (lambda: ScheduleConfig(epochs=(3, 1)), "schedule.epochs is .* use ascending epochs"),
    (lambda: ScheduleConfig(power=0), "schedule.power is 0: use a number above 0"),
    (lambda: ScheduleConfig(warm_up_epochs=-1), "schedule.warm_up_epochs is -1: use 0 or more"),
    (lambda: DataConfig(validation_split="v", validation_fraction=0.1), "data.validation_fraction is 0.1"),
    (lambda: DataConfig(fold_in_epoch=3), "data.fold_in_epoch is 3: use None, or hold out validation images"),
    (lambda: DataConfig(validation_split="test", fold_in_epoch=3), "data.fold_in_epoch is 3: use None"),
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
    (
        lambda: dataclasses.replace(preset("quickstart"), micro_batches=5),
        "micro_batches is 5: use a divisor of the batch size, 32",
    ),
    (
        lambda: dataclasses.replace(preset("quickstart"), micro_batches=4, augment=AugmentConfig(images_per_crop=16)),
        "augment.images_per_crop is 16: use a divisor of the size of a micro-batch, 8",
    ),
    (lambda: dataclasses.replace(preset("quickstart"), label_smoothing=1), "label_smoothing is 1: use a fraction"),
    (lambda: OptimizerConfig(rule="adam"), "optimizer.rule is 'adam': use paper, optax_sgd, lars or optax.NAME"),
    (lambda: OptimizerConfig(rule="optax.adamm"), "optimizer.rule is 'optax.adamm': optax has no such optimizer"),
    (lambda: OptimizerConfig(rule="optax.chain"), "optimizer.rule is 'optax.chain': optax has no such optimizer"),
    (lambda: OptimizerConfig(rule="optax.lbfgs"), "optimizer.rule is 'optax.lbfgs': it does not work with a learning"),
    (lambda: OptimizerConfig(rule="optax.noisy_sgd"), "optimizer.rule is 'optax.noisy_sgd': it does not work with"),
    (lambda: OptimizerConfig(rule="optax.lion", nesterov=True), "optimizer.nesterov is True: use False, because optax"),
    (
        lambda: OptimizerConfig(rule="optax.adam", rule_arguments=(("beta", 0.9),)),
        "optimizer.rule_arguments is 'beta': use arguments of optax.adam: b1, b2",
    ),
    (lambda: OptimizerConfig(rule_arguments=(("b1", 0.9),)), "optimizer.rule_arguments is .*: use a rule optax.NAME"),
    (lambda: OptimizerConfig(clip_norm=0), "optimizer.clip_norm is 0: use a number above 0"),
    (lambda: variant("papper"), "unknown variant 'papper': did you mean paper"),
    (lambda: preset("zzz"), "unknown preset 'zzz': choose from cifar10, cifar10_11pct"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), MISTAKES)
def test_a_value_out_of_range_is_refused_in_one_line(make, message):
    with pytest.raises(UsageError, match=message) as error:
        make()
    assert "\n" not in str(error.value)


def test_every_error_names_a_flag(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    flags = set(re.findall(r"--([\w.]+)", alexnet("train", "--help-all").stdout))
    assert {"model.convs.0.features", "epochs"} <= flags
    messages = [*FLOAT_FIELDS]
    for make, _ in MISTAKES:
        with pytest.raises(UsageError) as error:
            make()
        messages.append(str(error.value))
    # an unknown preset or variant has a message of its own, and options cannot remove a layer
    names = [text.split()[0] for text in messages if not text.startswith(("unknown", "model.convs is ()"))]
    assert set(names) <= flags


def float_fields(config, prefix=""):
    """The name of every field that holds floats in a config and the configs in it, with a replacement for its value."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"

        def change(new, field=field):
            return dataclasses.replace(config, **{field.name: new})

        if dataclasses.is_dataclass(value):
            for inner, make in float_fields(value, f"{name}."):
                yield inner, lambda number, make=make, change=change: change(make(number))
        elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
            for inner, make in float_fields(value[0], f"{name}.0."):
                yield inner, lambda number, make=make, change=change, rest=value[1:]: change((make(number), *rest))
        elif hints[field.name] in (float, float | None):
            yield name, change
        elif hints[field.name] == tuple[float, ...]:
            yield name, lambda number, change=change: change((1.0, number))
        elif hints[field.name] == tuple[tuple[str, float], ...]:
            yield name, lambda number, change=change: change((("conv1", number),))
        elif hints[field.name] == tuple[tuple[str, float, float], ...]:
            yield name, lambda number, change=change: change((("conv1", 1.0, number),))


FLOAT_FIELDS = dict(float_fields(preset("quickstart")))
RANGES = "use (a finite number|a number above 0|0 or more|a fraction|epochs above 0|ascending epochs)"


def test_every_config_class_has_its_float_fields_in_the_list():
    assert {"schedule.epochs", "schedule.layer_rates", "model.convs.0.bias", "model.dense.0.kernel_stddev"} <= set(
        FLOAT_FIELDS
    )
    assert len(FLOAT_FIELDS) > 25


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", FLOAT_FIELDS)
def test_every_float_is_finite(name, number):
    with pytest.raises(UsageError, match=rf"^{re.escape(name)} is .*({number}).*: {RANGES}"):
        FLOAT_FIELDS[name](number)


def test_lists_become_tuples():
    run = preset("quickstart")
    model = dataclasses.replace(
        run.model,
        convs=[dataclasses.replace(conv, then=list(conv.then)) for conv in run.model.convs],
        dense=list(run.model.dense),
    )
    schedule = dataclasses.replace(run.schedule, epochs=list(run.schedule.epochs), layer_rates=[["conv1", 1.0, 0.5]])
    changed = dataclasses.replace(
        run, model=model, schedule=schedule, optimizer=dataclasses.replace(run.optimizer, frozen=["conv1"])
    )
    assert model == run.model
    assert changed.schedule.layer_rates == (("conv1", 1.0, 0.5),)
    assert changed.optimizer.frozen == ("conv1",)
    assert isinstance(hash(changed), int)


def test_late_epochs_are_never_reached():
    run = dataclasses.replace(preset("quickstart"), schedule=ScheduleConfig("steps", epochs=(1e9,)))
    assert run.step_of(1e9) == 2**31 - 1 > run.steps
    rates = learning_rates(jnp.int32(run.steps), Plateau.start(), run)
    assert float(rates.kernel) == pytest.approx(run.optimizer.learning_rate)


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
