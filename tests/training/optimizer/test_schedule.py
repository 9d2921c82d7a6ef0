import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alexnet_jax.config import DataConfig, OptimizerConfig, ScheduleConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.presets import preset
from alexnet_jax.training.optimizer.schedule import Plateau, learning_rates, observe_error
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
    assert [float(rate.bias * rate.bias_layers["conv1"]) for rate in at] == pytest.approx([0.02, 0.02, 0.0])


def test_the_rates_of_one_weird_trick_fall_in_three_steps_and_those_of_its_biases_in_one():
    config = dataclasses.replace(preset("imagenet_one_weird_trick"), model=tiny_config("one_weird_trick").model)
    epochs = (0, 22, 23, 44, 46, 67, 68, 89)
    at = [learning_rates(jnp.array(config.step_of(epoch)), Plateau.start(), config) for epoch in epochs]
    falls = [250 ** (-count / 3) for count in (0, 0, 1, 1, 2, 2, 3, 3)]
    np.testing.assert_allclose([float(rate.kernel) for rate in at], np.multiply(0.01, falls), rtol=1e-5)
    np.testing.assert_allclose([float(rate.bias) for rate in at], [0.02] * 4 + [0.002] * 4, rtol=1e-5)


def test_layer_rates_apply_to_biases_that_follow():
    schedule = ScheduleConfig("steps", layer_rates=(("fc8", 0, 10.0),))
    (rate,) = rates_at([0], schedule=schedule)
    assert float(rate.bias_layers["fc8"]) == 10.0


def polynomial(step, base, final, steps, power):
    return final + (base - final) * (1 - min(step / steps, 1)) ** power


def cosine(step, base, final, steps):
    return final + (base - final) * 0.5 * (1 + np.cos(np.pi * min(step / steps, 1)))


OPTIMIZER = OptimizerConfig(learning_rate=0.02)
STEPS = [0, 1, 7, 19, 20, 39, 40, 100]


def kernel_rates(steps, schedule, optimizer=OPTIMIZER, epochs=10):
    """The rates of a run of ``4 * epochs`` steps."""
    return [float(rate.kernel) for rate in rates_at(steps, schedule=schedule, optimizer=optimizer, epochs=epochs)]


@pytest.mark.parametrize("final", [0.0, 0.005])
def test_cosine_and_polynomial_follow_their_formulas_to_the_end_of_the_run(final):
    found = kernel_rates(STEPS, ScheduleConfig("cosine", final_rate=final))
    np.testing.assert_allclose(found, [cosine(step, 0.02, final, 40) for step in STEPS], rtol=1e-5, atol=1e-9)
    for power in (1, 2, 0.5):
        found = kernel_rates(STEPS, ScheduleConfig("polynomial", power=power, final_rate=final))
        want = [polynomial(step, 0.02, final, 40, power) for step in STEPS]
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-9)


def test_cosine_matches_optax():
    reference = optax.cosine_decay_schedule(0.02, 40)
    with jax.numpy_dtype_promotion("standard"):
        want = [float(reference(step)) for step in STEPS]
    np.testing.assert_allclose(kernel_rates(STEPS, ScheduleConfig("cosine")), want, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("rule", ["cosine", "polynomial"])
def test_the_decay_ends_at_its_epoch(rule):
    schedule = ScheduleConfig(rule, decay_epochs=5, final_rate=1e-3)
    rates = kernel_rates([19, 20, 39], schedule)
    assert rates[0] > 1e-3
    assert rates[1:] == pytest.approx([1e-3, 1e-3])
    longer = kernel_rates(STEPS, schedule, epochs=20)
    assert longer == kernel_rates(STEPS, schedule)  # so a run with more epochs continues this one


@pytest.mark.parametrize(("warm_up", "power"), [("linear", 1), ("quadratic", 2)])
def test_warm_up_replaces_the_first_steps_of_every_rule(warm_up, power):
    """NVIDIA's Caffe: rampup_lr + (base_lr - rampup_lr) * (iter / rampup_interval)^2, then poly of the same iter."""
    schedule = ScheduleConfig("polynomial", warm_up_epochs=5, warm_up=warm_up, warm_up_rate=1.0)  # 20 steps
    found = kernel_rates(STEPS, schedule, OptimizerConfig(learning_rate=10))
    want = [1 + 9 * (step / 20) ** power if step < 20 else polynomial(step, 10, 0, 40, 2) for step in STEPS]
    np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-9)
    steps = ScheduleConfig("steps", epochs=(6,), warm_up_epochs=5, warm_up=warm_up)
    want = [0.02 * (step / 20) ** power if step < 20 else 0.02 if step < 24 else 0.002 for step in STEPS]
    np.testing.assert_allclose(kernel_rates(STEPS, steps), want, rtol=1e-5)


@pytest.mark.parametrize("biases", ["follow", "stay"])
def test_bias_rates_warm_up_and_decay_in_proportion(biases):
    schedule = ScheduleConfig("cosine", warm_up_epochs=1, warm_up_rate=0.01, final_rate=0.001, biases=biases)
    optimizer = OptimizerConfig(learning_rate=0.02, bias_learning_rate=0.04)
    for rate in rates_at(STEPS, schedule=schedule, optimizer=optimizer, epochs=10):
        assert float(rate.bias) == pytest.approx(2 * float(rate.kernel) if biases == "follow" else 0.04)


def test_rates_are_traced_functions_of_the_step():
    config = tiny_config(schedule=ScheduleConfig("polynomial", warm_up_epochs=1), epochs=10)
    rates = jax.vmap(lambda step: learning_rates(step, Plateau.start(), config).kernel)(jnp.arange(40))
    want = [learning_rates(jnp.array(step), Plateau.start(), config).kernel for step in range(40)]
    np.testing.assert_allclose(rates, want, rtol=1e-5)
