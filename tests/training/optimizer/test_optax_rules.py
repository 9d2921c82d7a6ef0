"""Rules of optax by name, held to optax itself."""

import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.config.optax_rules import check_optax_rule
from alexnet_jax.errors import UsageError
from alexnet_jax.training.layouts import TwoTowers
from alexnet_jax.training.optimizer.optax_rules import ELEMENTWISE
from alexnet_jax.training.optimizer.rules import make_optimizer
from alexnet_jax.training.optimizer.schedule import Rates
from alexnet_jax.training.runs.checkpoint import Checkpoints
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.steps.state import abstract_train_state
from tests.helpers.nets import tiny_config
from tests.helpers.run_directories import write_run
from tests.helpers.trees import assert_same
from tests.training.optimizer.six_updates import as_float32, gradients, initial, run

RATES = [0.1, 0.1, 0.05, 0.02, 0.0]
BIAS_RATES = [0.2, 0.2, 0.2, 0.1, 0.1]


def optax_path(make, name, rates):
    """One array of the tests' parameters after each step of an optimizer of optax, whose rate is set for each step."""
    layer, kind = name
    array = jnp.asarray(initial()[layer][kind], jnp.float32)
    optimizer = optax.inject_hyperparams(make)(learning_rate=rates[0])
    with jax.numpy_dtype_promotion("standard"):
        state, path = optimizer.init(array), []
        for gradient, rate in zip(gradients(), rates, strict=False):
            state.hyperparams["learning_rate"] = jnp.float32(rate)
            updates, state = optimizer.update(jnp.asarray(gradient[layer][kind], jnp.float32), state, array)
            array = optax.apply_updates(array, updates)
            path.append(array)
    return path


def our_path(config, layers=None):
    """The parameters after each step, with rates that differ between kernels, biases and layers."""
    optimizer = make_optimizer(config)
    params = as_float32(initial())
    state, path = optimizer.init(params), []
    for gradient, rate, bias_rate in zip(gradients(), RATES, BIAS_RATES, strict=False):
        rates = Rates(jnp.float32(rate), jnp.float32(bias_rate), layers or {})
        updates, state = optimizer.update(as_float32(gradient), state, params, rates=rates)
        params = optax.apply_updates(params, updates)
        path.append(params)
    return path


def assert_equal_paths(config, kernel, bias):
    path = our_path(config)
    for layer in initial():
        for kind, make, rates in (("kernel", kernel, RATES), ("bias", bias, BIAS_RATES)):
            for found, want in zip(path, optax_path(make, (layer, kind), rates), strict=True):
                np.testing.assert_allclose(found[layer][kind], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["adamw", "lion", "lamb"])
def test_an_optimizer_with_weight_decay_gets_the_decay_of_the_array(name):
    """lamb has norms of whole arrays, and its decay is inside its trust ratio."""
    make = getattr(optax, name)
    config = OptimizerConfig(rule=f"optax.{name}", weight_decay=0.05, bias_decay=0.01)
    assert_equal_paths(
        config,
        lambda learning_rate: make(learning_rate, weight_decay=0.05),
        lambda learning_rate: make(learning_rate, weight_decay=0.01),
    )


def test_other_optimizers_get_the_decay_in_the_gradient_and_rule_arguments():
    config = OptimizerConfig(
        rule="optax.rmsprop", momentum=0.5, weight_decay=0.05, nesterov=True, rule_arguments=(("decay", 0.8),)
    )

    def rmsprop(learning_rate):
        return optax.rmsprop(learning_rate, decay=0.8, momentum=0.5, nesterov=True)

    assert_equal_paths(
        config, lambda learning_rate: optax.chain(optax.add_decayed_weights(0.05), rmsprop(learning_rate)), rmsprop
    )


def test_a_rate_inside_the_velocity_stays_inside():
    """optax.lars multiplies by the rate before the momentum."""
    config = OptimizerConfig(rule="optax.lars", weight_decay=0.05)
    assert_equal_paths(config, lambda learning_rate: optax.lars(learning_rate, weight_decay=0.05), optax.lars)


def test_optax_sgd_by_name_is_the_rule_optax_sgd():
    named, own = (run(OptimizerConfig(rule=rule, weight_decay=0.05)) for rule in ("optax.sgd", "optax_sgd"))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), named, own)


def test_a_layer_rate_scales_its_updates_and_a_frozen_layer_has_none():
    plain = our_path(OptimizerConfig(rule="optax.adam", weight_decay=0.0))[0]
    slow = our_path(OptimizerConfig(rule="optax.adam", weight_decay=0.0), {"fc1": jnp.float32(0.5)})[0]
    moves = [np.asarray(params["fc1"]["kernel"]) - 1 for params in (plain, slow)]
    np.testing.assert_allclose(moves[1], moves[0] / 2, rtol=1e-5)
    np.testing.assert_array_equal(plain["fc2"]["kernel"], slow["fc2"]["kernel"])
    frozen = OptimizerConfig(rule="optax.adamw", frozen=("fc1",))
    np.testing.assert_array_equal(our_path(frozen)[-1]["fc1"]["kernel"], initial()["fc1"]["kernel"])
    state = make_optimizer(frozen).init(as_float32(initial()))
    assert not any("fc1" in jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(state))


def test_the_state_keeps_its_form_so_that_steps_can_be_scanned():
    params, optimizer = as_float32(initial()), make_optimizer(OptimizerConfig(rule="optax.adamw"))
    rates = Rates(jnp.float32(0.1), jnp.float32(0.1))
    state = optimizer.init(params)
    _, after = jax.eval_shape(lambda *args: optimizer.update(*args, rates=rates), params, state, params)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), state
    )


def test_checking_a_rule_does_not_start_the_devices_of_jax():
    """The command chooses the number of virtual devices after it has read the config."""
    code = f"""
import jax
from alexnet_jax.config import OptimizerConfig
for name in {sorted(ELEMENTWISE)}:
    OptimizerConfig(rule=name)
jax.config.update("jax_num_cpu_devices", 2)
print(jax.device_count())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "2\n", done.stderr


def usable():
    """The names of optax's optimizers that can be a rule."""
    for name in dir(optax):
        try:
            check_optax_rule(f"optax.{name}", False, ())
        except UsageError:
            continue
        if not name.startswith("scale_by"):
            yield f"optax.{name}"


def is_elementwise(name):
    """Whether three updates of two halves are those of the whole array."""
    rng = np.random.default_rng(0)
    optimizer = make_optimizer(OptimizerConfig(rule=name, weight_decay=0.05))
    rates = Rates(jnp.float32(0.1), jnp.float32(0.1))
    steps = [jnp.asarray(rng.standard_normal((4, 6)), jnp.float32) for _ in range(4)]

    def path(columns):
        params = {"fc": {"kernel": steps[0][:, columns]}}
        state = optimizer.init(params)
        for gradient in steps[1:]:
            updates, state = optimizer.update({"fc": {"kernel": gradient[:, columns]}}, state, params, rates=rates)
            params = optax.apply_updates(params, updates)
        return np.asarray(params["fc"]["kernel"])

    halves = np.concatenate([path(slice(0, 3)), path(slice(3, 6))], axis=1)
    return np.allclose(path(slice(0, 6)), halves, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_the_rules_for_two_devices_are_those_whose_updates_are_elementwise():
    names = set(usable())
    assert {"optax.adamw", "optax.lamb", "optax.adafactor"} <= names
    assert {name for name in names if is_elementwise(name)} == ELEMENTWISE


@pytest.mark.parametrize("name", ["optax.lamb", "optax.adafactor", "optax.lars"])
def test_rules_with_norms_of_whole_arrays_are_refused_on_two_devices(name):
    with pytest.raises(UsageError, match=f"rule is '{name}': .* use --layout mesh, --devices 1 or a rule such as lars"):
        make_optimizer(OptimizerConfig(rule=name), "tower")


def test_an_elementwise_rule_is_the_same_on_two_devices():
    config = OptimizerConfig(rule="optax.adamw", weight_decay=0.05, clip_norm=2.0)
    one, two = run(config), run(config, devices=2)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), two, one)


def test_the_state_of_an_optax_rule_is_saved_restored_and_split(tmp_path):
    config = tiny_config(optimizer=OptimizerConfig(rule="optax.adamw", ema_decay=0.9))
    random = partial(jax.tree.map, lambda leaf: np.random.default_rng(leaf.size).random(leaf.shape, np.float32))
    written = []

    def change(state):
        moments = jax.tree.map(lambda leaf: random(leaf) if leaf.ndim else leaf, state.opt_state)
        written.append(state.replace(opt_state=moments))
        return written[0]

    run = RunDirectory(write_run(tmp_path / "run", config, tuple("abcdefghij"), change))
    read = Checkpoints(run.checkpoints, warn=print).restore(abstract_train_state(config))
    assert_same(read, written[0])
    layout = TwoTowers(config, jax.devices()[:2])
    placed = layout.place(read)
    moments = [leaf for leaf in jax.tree.leaves(placed.opt_state) if leaf.ndim]
    assert len(moments) == 2 * len(jax.tree.leaves(placed.params))
    assert not any(leaf.is_fully_replicated for leaf in moments)
    assert_same(layout.collect(placed), read)
