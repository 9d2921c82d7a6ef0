from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import alexnet_jax
from alexnet_jax.preprocessing.statistics import published_statistics
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.weights.weights import Weights


@pytest.fixture(scope="session")
def weights() -> Weights:
    """The quick run's net with initial weights."""
    config = alexnet_jax.preset("quickstart")
    state = jax.jit(lambda key: create_train_state(config, key))(jax.random.key(3))
    mean = jnp.full((32, 32, 3), 120.0)
    return Weights(config, jax.device_get(state.params), published_statistics(3).replace(mean=mean))


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """150 images: three batches, the last one not full."""
    return np.random.default_rng(0).integers(0, 256, (150, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def stimuli(images, tmp_path_factory) -> Path:
    """``images`` as the array /group/imgBrick of an HDF5 file."""
    import h5py

    path = tmp_path_factory.mktemp("stimuli") / "stimuli.hdf5"
    with h5py.File(path, "w") as file:
        file["group/imgBrick"] = images
        file["group/subject"] = np.arange(3)
    return path
