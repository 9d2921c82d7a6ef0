import dataclasses
from functools import partial

import jax
import pytest

from alexnet_jax.config import AugmentConfig, Dropout
from alexnet_jax.training.steps.state import TrainState, create_train_state
from tests.training.steps.compiled import CONFIG


@pytest.fixture(scope="module")
def state() -> TrainState:
    return jax.jit(partial(create_train_state, CONFIG))(jax.random.key(0))


@pytest.fixture
def plain(batch):
    """A run without anything random, and its batch: images have the size of the net's crop."""
    size = CONFIG.model.image_size
    config = dataclasses.replace(
        CONFIG,
        model=dataclasses.replace(CONFIG.model, dropout=Dropout(rate=0.0)),
        data=dataclasses.replace(CONFIG.data, image_size=size),
        augment=AugmentConfig(horizontal_flip=False, mean="channel", pca_colour_noise=0.0),
    )
    return config, batch | {"image": batch["image"][:, :size, :size]}
