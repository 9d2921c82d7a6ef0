"""An optimizer and a loss that are not the config's, on two devices."""

import dataclasses
from functools import partial

import jax
import numpy as np
import optax
import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.training.layouts import choose_layout
from alexnet_jax.training.steps.state import create_train_state
from tests.helpers.nets import tiny_config

CONFIG = tiny_config()
ADAFACTOR = optax.adafactor(0.01, min_dim_size_to_factor=4)  # whose state has sums over rows and over columns
KEY = jax.random.key(5)


def squared_error(logits, labels):
    return ((logits - jax.nn.one_hot(labels, logits.shape[-1])) ** 2).mean()


def trained(devices, batch):
    layout = choose_layout(CONFIG, devices, optimizer=ADAFACTOR, loss=squared_error)
    layout.check_training()
    state = layout.place(create_train_state(CONFIG, jax.random.key(0), optimizer=ADAFACTOR))
    for _ in range(2):
        state, metrics = layout.train_step(state, batch, KEY)
    return layout, layout.collect(state), metrics


@pytest.mark.slow
def test_two_devices_train_as_one(batch):
    _, want, want_metrics = trained(1, batch)
    layout, found, metrics = trained(2, batch)
    assert layout.name == "mesh"
    assert any(leaf.ndim == 1 and leaf.size > 1 for leaf in jax.tree.leaves(want.opt_state))
    close = partial(np.testing.assert_allclose, rtol=1e-3, atol=1e-6)
    jax.tree.map(close, (found.params, found.opt_state, metrics), (want.params, want.opt_state, want_metrics))
    start = create_train_state(CONFIG, jax.random.key(0), optimizer=ADAFACTOR)
    assert np.abs(found.params["fc8"]["kernel"] - start.params["fc8"]["kernel"]).max() > 0.001


def test_towers_refuse_an_optimizer():
    layout = choose_layout(CONFIG, 2, "towers", optimizer=ADAFACTOR)
    with pytest.raises(
        UsageError, match=r"^--layout towers gives an optimizer half of each array, and one that is not"
    ):
        layout.check_training()


def test_mesh_refuses_it_where_it_pads_arrays():
    layout = choose_layout(tiny_config(model=dataclasses.replace(CONFIG.model, classes=9)), 2, optimizer=ADAFACTOR)
    with pytest.raises(
        UsageError, match=r"^the optimizer may need whole arrays, and --layout mesh pads those of 9 class"
    ):
        layout.check_training()
