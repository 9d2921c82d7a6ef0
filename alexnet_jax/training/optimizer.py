"""Gradients to updates: optax chains for the paper's rule (section 5) and for that of ``optax.sgd``."""

from __future__ import annotations

from typing import Any

import jax
import optax

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.training.schedule import Rates


def is_bias(path: tuple[Any, ...]) -> bool:
    """Whether the parameter at ``path`` of the tree is a bias and not a kernel."""
    return path[-1].key == "bias"


def _scale_by_rates() -> optax.GradientTransformationExtraArgs:
    """Multiplies updates by minus the learning rate of their kind, which the caller passes to ``update``."""

    def update(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None, *, rates: Rates, **_: Any
    ) -> tuple[optax.Updates, optax.EmptyState]:
        def scale(path: tuple[Any, ...], update: jax.Array) -> jax.Array:
            rate = rates.bias if is_bias(path) else rates.kernel
            factor = rates.layers.get(path[0].key)
            return -(rate if factor is None else rate * factor) * update

        return jax.tree_util.tree_map_with_path(scale, updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)


def make_optimizer(config: OptimizerConfig) -> optax.GradientTransformationExtraArgs:
    """The update rule as an optax transformation, whose ``update`` takes ``rates`` besides gradients and parameters.

    The paper's rule is v <- momentum v - rate (gradient + decay w), w <- w + v: the rate is inside the velocity, so
    what was gathered before a drop of the rate keeps its size. ``optax.sgd`` and PyTorch keep it outside.
    """

    def kernels(tree: optax.Params) -> optax.Params:
        return jax.tree_util.tree_map_with_path(lambda path, _: not is_bias(path), tree)

    def biases(tree: optax.Params) -> optax.Params:
        return jax.tree_util.tree_map_with_path(lambda path, _: is_bias(path), tree)

    decay = [
        optax.add_decayed_weights(config.weight_decay, mask=kernels),
        optax.add_decayed_weights(config.bias_decay, mask=biases),
    ]
    velocity = [_scale_by_rates(), optax.trace(config.momentum)]
    return optax.chain(*decay, *(velocity if config.rule == "paper" else reversed(velocity)))
