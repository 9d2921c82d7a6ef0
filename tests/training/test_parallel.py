"""Two devices, each with its half of every layer, against the whole net on one."""

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.net.model import AlexNet
from alexnet_jax.training.checkpoint import tree_digest
from alexnet_jax.training.parallel import OneDevice, TwoTowers, bytes_per_device, choose_layout
from alexnet_jax.training.state import create_train_state
from tests.helpers.nets import tiny_config

KEY = jax.random.key(5)


@cache
def layouts(name):
    """One device and two for a tiny net; the same for all tests, so that each step is compiled once."""
    config = tiny_config(name)
    return config, OneDevice(config, jax.devices()[:1]), TwoTowers(config, jax.devices()[:2])


def assert_close(found, want, rtol):
    """To float32 rounding, measured against the largest value of each array."""

    def check(a, b):
        a, b = np.asarray(a), np.asarray(b)
        assert np.abs(a - b).max() <= rtol * max(np.abs(b).max(), 1e-30)

    jax.tree.map(check, found, want)


@pytest.mark.parametrize("name", ["paper", "original"])
def test_loss_gradients_and_logits_of_two_towers_are_those_of_the_grouped_net(name, batch):
    config, one, two = layouts(name)
    state = create_train_state(config, jax.random.key(0))
    first = one.train_step(one.place(state), batch, KEY)
    second = two.train_step(two.place(state), batch, KEY)
    assert_close(second[1], first[1], 1e-6)
    # after one step the velocities are the gradients, times the rate, and the decay of the same weights
    assert_close(two.collect(second[0]).opt_state, first[0].opt_state, 1e-6)
    scores = [layout.predict_step(layout.place(state), batch["image"], "center") for layout in (two, one)]
    assert_close(*scores, 1e-6)


def test_many_steps_stay_together(batch):
    config, one, two = layouts("original")
    state = create_train_state(config, jax.random.key(0))
    whole, halves = one.place(state), two.place(state)
    for _ in range(5):
        whole, _ = one.train_step(whole, batch, KEY)
        halves, _ = two.train_step(halves, batch, KEY)
    assert_close(two.collect(halves).params, whole.params, 1e-4)
    assert two.collect(halves).step == 5


def test_place_and_collect_are_exact_and_leave_the_original_alone(batch):
    config, *both = layouts("paper")
    state = create_train_state(config, jax.random.key(0))
    before = tree_digest(jax.device_get(state))
    for layout in both:
        placed = layout.place(state)
        assert tree_digest(layout.collect(placed)) == before
        layout.train_step(placed, batch, KEY)  # uses up what was placed
    assert tree_digest(jax.device_get(state)) == before


def test_each_device_holds_half_of_every_layer():
    config, one, two = layouts("paper")
    state = create_train_state(config, jax.random.key(0))
    total = sum(leaf.nbytes for leaf in jax.tree.leaves(state.params))
    assert list(bytes_per_device(one.place(state).params).values()) == [total]
    assert list(bytes_per_device(two.place(state).params).values()) == [total // 2, total // 2]


def test_conv2_sees_only_its_own_tower_and_conv3_both():
    """Through the second tower's conv1 no gradient of a first-tower unit of conv2 flows, but one of conv3 does."""
    config = tiny_config()
    net = AlexNet(config.model)
    images = jax.random.normal(KEY, (1, 67, 67, 3), jnp.float32) * 60
    params = net.init(jax.random.key(0), images)["params"]

    def unit(params, layer):
        seen = net.apply({"params": params}, images, mutable="intermediates")[1]["intermediates"]
        return seen[layer][..., 0].sum()

    gradient = jax.jit(jax.grad(unit), static_argnums=1)
    for layer, reaches in (("conv2", False), ("conv3", True)):
        kernel = gradient(params, layer)["conv1"]["kernel"]
        assert bool(jnp.any(kernel[..., :4] != 0))
        assert bool(jnp.any(kernel[..., 4:] != 0)) == reaches


def test_layouts_that_cannot_be_are_refused():
    assert isinstance(choose_layout(tiny_config()), TwoTowers)
    assert isinstance(choose_layout(tiny_config(), 1), OneDevice)
    with pytest.raises(UsageError, match="--devices is 3"):
        choose_layout(tiny_config(), 3)
    config = tiny_config()
    odd = dataclasses.replace(config, model=dataclasses.replace(config.model, classes=7))
    assert isinstance(choose_layout(odd, 1), OneDevice)
    with pytest.raises(UsageError, match=r"model.classes is 7.*--devices 1"):
        choose_layout(odd)
