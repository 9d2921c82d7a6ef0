from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alexnet_jax.training.layouts import OneDevice, TwoTowers
from alexnet_jax.training.layouts.placement import bytes_per_device, map_state
from alexnet_jax.training.runs.checkpoint import tree_digest
from alexnet_jax.training.steps.state import TrainState, create_train_state
from tests.helpers.nets import tiny_config
from tests.helpers.slow import slow

CONFIG = tiny_config()
ONE, TWO = OneDevice(CONFIG, jax.devices()[:1]), TwoTowers(CONFIG, jax.devices()[:2])


@cache
def initial_state() -> TrainState:
    return jax.jit(partial(create_train_state, CONFIG))(jax.random.key(0))


def state_of(optimizer: optax.GradientTransformation) -> TrainState:
    """A state of another optimizer, whose moments differ from each other and from zero."""
    state = initial_state()
    opt_state = optimizer.init(state.params)
    gradients = jax.tree.map(lambda leaf: leaf + 1, state.params)
    with jax.numpy_dtype_promotion("standard"):  # optax.adam needs it
        _, opt_state = optimizer.update(gradients, opt_state, state.params)
    return state.replace(opt_state=opt_state)


@pytest.mark.parametrize("layout", [ONE, TWO], ids=["one_device", "two_towers"])
def test_place_and_collect_are_exact(layout):
    state = initial_state()
    digest = tree_digest(jax.device_get(state))
    assert tree_digest(layout.collect(layout.place(state))) == digest
    assert tree_digest(jax.device_get(state)) == digest


def test_parameters_are_split_over_two_devices():
    state = initial_state()
    total = sum(leaf.nbytes for leaf in jax.tree.leaves(state.params))
    assert list(bytes_per_device(ONE.place(state).params).values()) == [total]
    assert list(bytes_per_device(TWO.place(state).params).values()) == [total // 2, total // 2]


@pytest.mark.parametrize(
    "optimizer",
    [
        slow(optax.adam(0.1)),
        optax.sgd(optax.linear_schedule(0.1, 0.01, 10), momentum=0.9),
        optax.inject_hyperparams(optax.adam)(learning_rate=0.1),
    ],
    ids=["adam", "schedule", "hyperparameters"],
)
def test_moments_of_any_optimizer_are_split_and_counters_replicated(optimizer):
    state = state_of(optimizer)
    placed = TWO.place(state)
    for (path, before), after in zip(
        jax.tree_util.tree_leaves_with_path(state.opt_state), jax.tree.leaves(placed.opt_state), strict=True
    ):
        if path[-1] == jax.tree_util.DictKey("kernel") or path[-1] == jax.tree_util.DictKey("bias"):
            assert after.shape == (*before.shape[:-1], 2, before.shape[-1] // 2)
            assert not after.is_fully_replicated
        else:
            assert before.ndim == 0
            assert after.is_fully_replicated
    jax.tree.map(np.testing.assert_array_equal, TWO.collect(placed).opt_state, jax.device_get(state.opt_state))


def test_an_array_that_only_resembles_a_parameter_is_replicated():
    """Neither the path nor the shape of a parameter is enough: a vector of statistics, say, is not split."""
    state = initial_state()
    bias = state.params["fc8"]["bias"]
    opt_state = {"history": jnp.zeros_like(bias), "fc8": {"bias": jnp.zeros(3, jnp.float32)}, "m": state.params}
    split = map_state(state.replace(opt_state=opt_state), lambda layer, _: layer, lambda _: "replicated")
    assert split.opt_state["history"] == "replicated"
    assert split.opt_state["fc8"]["bias"] == "replicated"
    for layer, arrays in split.opt_state["m"].items():
        assert arrays == {"kernel": layer, "bias": layer}
