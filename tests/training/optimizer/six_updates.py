"""Six updates of two small layers, by any update rule."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from alexnet_jax.training.optimizer.rules import make_optimizer
from alexnet_jax.training.optimizer.schedule import Rates

RATES = [0.1, 0.1, 0.1, 0.01, 0.01, 0.001]  # two drops
BIAS_RATES = [0.2] * 6


def as_float32(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)


def gradients():
    """Six gradients of two layers. Those of fc2's bias are zero, and so is its initial kernel."""
    rng = np.random.default_rng(0)
    return [
        {
            "fc1": {"kernel": rng.standard_normal((3, 2)), "bias": rng.standard_normal(2)},
            "fc2": {"kernel": rng.standard_normal((2, 4)), "bias": np.zeros(4)},
        }
        for _ in RATES
    ]


def initial():
    return {
        "fc1": {"kernel": np.ones((3, 2)), "bias": np.ones(2)},
        "fc2": {"kernel": np.zeros((2, 4)), "bias": np.ones(4)},
    }


def run(config, devices=1):
    """The parameters after each step of ``make_optimizer(config)``, on one device or with each array split over two."""
    axis = None if devices == 1 else "tower"
    optimizer = make_optimizer(config, axis)

    def step(gradients, state, params, rates):
        updates, state = optimizer.update(gradients, state, params, rates=rates)
        return optax.apply_updates(params, updates), state

    def split(leaf):
        return leaf if devices == 1 else leaf.reshape(*leaf.shape[:-1], 2, -1)

    def join(leaf):
        return np.asarray(leaf if devices == 1 else leaf.reshape(*leaf.shape[:-2], -1))

    params = jax.tree.map(split, as_float32(initial()))
    state = optimizer.init(params)
    if devices == 2:
        axes, state_axes = jax.tree.map(lambda leaf: leaf.ndim - 2 if leaf.ndim > 1 else None, (params, state))
        step = jax.pmap(
            step,
            axis,
            in_axes=(axes, state_axes, axes, None),
            out_axes=(axes, state_axes),
            devices=jax.devices()[:2],
        )
    path = []
    for gradient, rate, bias_rate in zip(gradients(), RATES, BIAS_RATES, strict=True):
        rates = Rates(jnp.float32(rate), jnp.float32(bias_rate))
        gradient = jax.tree.map(split, as_float32(gradient))
        params, state = jax.block_until_ready(step(gradient, state, params, rates))
        path.append(jax.tree.map(join, params))
    return path
