"""A trained net for the tests of weights."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from alexnet_jax.preprocessing.statistics import Statistics
from alexnet_jax.training.steps.state import abstract_train_state
from alexnet_jax.weights.weights import Weights
from tests.helpers.nets import tiny_config


@pytest.fixture(scope="session")
def trained() -> Weights:
    """A tiny ``original`` with random parameters, a mean image, two class names and a step."""
    config, rng = tiny_config("original"), np.random.default_rng(0)
    form = abstract_train_state(config)
    params = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape, np.float32), form.params)
    mean = 255 * rng.random(form.statistics.mean.shape, np.float32)
    assert mean.shape == (72, 72, 3)
    return Weights(config, params, Statistics(mean, np.eye(3, dtype=np.float32)), ("tench", "goldfish"), 17)
