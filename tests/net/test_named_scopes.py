"""Layers keep their names in compiled programs, so that profiles show them."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import pytest

from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.training.steps.train_step import train_step
from tests.helpers.nets import tiny_config


@pytest.mark.parametrize("name", ["paper", "original", "alexnet_bn"])
def test_every_layer_of_a_training_step_has_its_name(name):
    config = tiny_config(name)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(partial(create_train_state, config), key)
    batch = {"image": jax.ShapeDtypeStruct((2, 72, 72, 3), jnp.uint8), "label": jax.ShapeDtypeStruct((2,), jnp.int32)}
    text = jax.jit(partial(train_step, config=config)).lower(state, batch, key).as_text(debug_info=True)
    scopes = [set(path.split("/")) for path in re.findall(r'"(jit[^"]*)"', text)]
    for direction in ("jvp(AlexNet)", "transpose(jvp(AlexNet))"):
        found = set().union(*(names for names in scopes if direction in names))
        assert {layer.name for layer in config.model.layers()} <= found
