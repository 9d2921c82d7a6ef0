import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import DataConfig, OptimizerConfig, ScheduleConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.presets import preset
from alexnet_jax.training.schedule import Plateau, learning_rates, observe_error
from tests.helpers.nets import tiny_config


def rates_at(steps, **changes):
    config = tiny_config(**changes)
    return [learning_rates(jnp.array(step), Plateau.start(), config) for step in steps]


def test_the_rate_drops_at_the_first_step_of_an_epoch():
    schedule = ScheduleConfig("steps", epochs=(1, 2.5), factor=0.1)  # 4 steps an epoch
    rates = rates_at([0, 3, 4, 9, 10, 99], schedule=schedule)
    np.testing.assert_allclose([float(rate.kernel) for rate in rates], [1e-2, 1e-2, 1e-3, 1e-3, 1e-4, 1e-4], rtol=1e-6)


@pytest.mark.parametrize(("biases", "last"), [("follow", 2e-3), ("stay", 2e-2)])
def test_bias_rates_follow_the_schedule_or_stay(biases, last):
    schedule = ScheduleConfig("steps", epochs=(1,), biases=biases)
    optimizer = OptimizerConfig(learning_rate=0.01, bias_learning_rate=0.02)
    first, second = rates_at([0, 4], schedule=schedule, optimizer=optimizer)
    assert float(first.bias) == pytest.approx(0.02)
    assert float(second.bias) == pytest.approx(last)


def drops_after(errors, **options):
    config = ScheduleConfig("plateau", **options)
    plateau, drops = Plateau.start(), []
    for error in errors:
        plateau = observe_error(plateau, error, config)
        drops.append(int(plateau.drops))
    return drops


def test_the_rate_drops_when_the_validation_error_stops_improving():
    errors = [0.9, 0.8, 0.8, 0.81, 0.7, 0.7, 0.7, 0.7, 0.7]
    assert drops_after(errors, patience=2) == [0, 0, 0, 1, 1, 1, 2, 2, 3]
    assert drops_after(errors, patience=2, max_drops=1) == [0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert drops_after(errors, patience=5) == [0] * 9


def test_each_drop_divides_the_rate():
    config = dataclasses.replace(tiny_config(), schedule=ScheduleConfig("plateau"))
    plateau = Plateau.start().replace(drops=jnp.array(2, jnp.int32))
    assert float(learning_rates(jnp.array(7), plateau, config).kernel) == pytest.approx(1e-4)


def test_the_steps_rule_needs_the_number_of_training_images():
    config = tiny_config(data=DataConfig(image_size=72))
    with pytest.raises(UsageError, match="train_examples"):
        learning_rates(jnp.array(0), Plateau.start(), config)


def test_layer_rates_apply_from_their_epoch_on():
    schedule = ScheduleConfig(
        "steps", epochs=(2,), layer_rates=(("conv1", 1, 0.1), ("conv1", 3, 0.0), ("fc8", 0, 10.0))
    )
    rates = rates_at([0, 3, 4, 11, 12], schedule=schedule)  # 4 steps an epoch
    assert [pytest.approx(float(rate.layers["conv1"])) for rate in rates] == [1.0, 1.0, 0.1, 0.1, 0.0]
    assert [float(rate.layers["fc8"]) for rate in rates] == [10.0] * 5
    assert all(set(rate.layers) == {"conv1", "fc8"} for rate in rates)


def test_conv1_of_the_original_slows_down_and_stops():
    config = dataclasses.replace(preset("imagenet_original"), model=tiny_config("original").model)
    at = [learning_rates(jnp.array(epoch * config.steps_per_epoch), Plateau.start(), config) for epoch in (66, 67, 72)]
    assert [float(rate.kernel * rate.layers["conv1"]) for rate in at] == pytest.approx([1e-4, 1e-5, 0.0])
    assert float(at[0].bias) == pytest.approx(0.02)
