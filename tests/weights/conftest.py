"""A trained net for the tests of weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from alexnet_jax.training.state import create_train_state
from alexnet_jax.weights.weights import Weights
from tests.helpers.nets import tiny_config


@pytest.fixture(scope="session")
def trained() -> Weights:
    """A tiny ``original`` with a mean image, two class names and a step."""
    config = tiny_config("original")
    state = jax.jit(lambda key: create_train_state(config, key))(jax.random.key(0))
    mean = jax.random.uniform(jax.random.key(1), (72, 72, 3), jnp.float32) * 255
    statistics = state.statistics.replace(mean=mean)
    return Weights(config, jax.device_get(state.params), jax.device_get(statistics), ("tench", "goldfish"), 17)
