"""Everything that a training step reads and writes, as one tree of arrays."""

from __future__ import annotations

from functools import partial

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from alexnet_jax.config import TrainConfig
from alexnet_jax.net.model import AlexNet
from alexnet_jax.preprocessing.statistics import Statistics, published_statistics
from alexnet_jax.training.optimizer import make_optimizer
from alexnet_jax.training.schedule import Plateau


class TrainState(flax.struct.PyTreeNode):
    """A run at one moment."""

    step: Int[Array, ""]
    """Steps taken."""
    params: PyTree
    opt_state: optax.OptState
    plateau: Plateau
    statistics: Statistics
    """Of the data set; not trained."""


def create_train_state(config: TrainConfig, key: PRNGKeyArray, statistics: Statistics | None = None) -> TrainState:
    """The state before the first step, its weights drawn from ``key`` as the paper's section 5 says.

    ``statistics`` are the data set's; None takes ImageNet's published mean colour and colour covariance.
    Raises UsageError where None meets a number of channels for which nothing is published.
    """
    model = config.model
    images = jnp.zeros((1, model.image_size, model.image_size, model.channels), jnp.float32)
    params = AlexNet(model).init(key, images)["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=make_optimizer(config.optimizer).init(params),
        plateau=Plateau.start(),
        statistics=published_statistics(model.channels) if statistics is None else statistics,
    )


def train_state_form(config: TrainConfig) -> TrainState:
    """Shapes and types of the arrays of a state, as a run of ``config`` saves it."""
    form = jax.eval_shape(partial(create_train_state, config), jax.random.key(0))
    channels, size = config.model.channels, config.data.image_size
    mean = (size, size, channels) if config.augment.mean == "image" else (channels,)
    return form.replace(statistics=form.statistics.replace(mean=jax.ShapeDtypeStruct(mean, np.float32)))
