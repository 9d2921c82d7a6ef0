"""The untrained control of a net."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp

from alexnet_jax.net.model import AlexNet
from alexnet_jax.weights.weights import Weights


def untrained(weights: Weights, seed: int) -> Weights:
    """The same net with the same preprocessing, before training.

    Args:
        weights: the trained net.
        seed: the random seed of the weights, which are drawn as the net's config says.

    Returns:
        The net, with the layers that ``weights`` has.
    """
    model = weights.config.model
    images = jnp.zeros((1, model.image_size, model.image_size, model.channels), jnp.float32)
    drawn = jax.jit(AlexNet(model).init)(jax.random.key(seed), images)
    params = {name: layer for name, layer in drawn["params"].items() if name in weights.params}
    return replace(weights, params=params, batch_stats=drawn.get("batch_stats", {}), step=0)
