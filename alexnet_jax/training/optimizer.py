"""The update rules as optax transformations: the paper's (section 5) and that of ``optax.sgd``."""

from __future__ import annotations

from typing import Any

import jax
import optax

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.training.schedule import Rates


def is_bias(path: tuple[Any, ...]) -> bool:
    """Whether the parameter at ``path`` of the tree is a bias."""
    return path[-1].key == "bias"


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformationExtraArgs:
    """Makes the optimizer that ``config`` describes.

    The paper's rule is ``v <- momentum * v - rate * (gradient + decay * w)``, ``w <- w + v``. The learning rate is
    inside the velocity, so that a lower rate does not change the velocity accumulated so far. ``optax.sgd`` and PyTorch
    multiply the velocity by the rate: ``v <- momentum * v + gradient + decay * w``, ``w <- w - rate * v``.

    Returns:
        A transformation whose ``update`` takes the keyword argument ``rates`` (``Rates``) besides gradients, state and
        parameters.
    """
    decay_kernels = optax.add_decayed_weights(config.weight_decay, mask=_kernel_mask)
    decay_biases = optax.add_decayed_weights(config.bias_decay, mask=_bias_mask)
    if config.rule == "paper":
        return optax.chain(decay_kernels, decay_biases, _scale_by_rates(), optax.trace(config.momentum))
    return optax.chain(decay_kernels, decay_biases, optax.trace(config.momentum), _scale_by_rates())


def _kernel_mask(params: optax.Params) -> optax.Params:
    return jax.tree_util.tree_map_with_path(lambda path, _: not is_bias(path), params)


def _bias_mask(params: optax.Params) -> optax.Params:
    return jax.tree_util.tree_map_with_path(lambda path, _: is_bias(path), params)


def _scale_by_rates() -> optax.GradientTransformationExtraArgs:
    """Multiplies each update by minus the learning rate of its parameter."""

    def update(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None, *, rates: Rates, **_: Any
    ) -> tuple[optax.Updates, optax.EmptyState]:
        def scale(path: tuple[Any, ...], update: jax.Array) -> jax.Array:
            rate = rates.bias if is_bias(path) else rates.kernel
            factor = rates.layers.get(path[0].key)
            return -(rate if factor is None else rate * factor) * update

        return jax.tree_util.tree_map_with_path(scale, updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)
