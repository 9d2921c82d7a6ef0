"""The update rules as optax transformations: the paper's (section 5), that of ``optax.sgd``, and LARS."""

from __future__ import annotations

from typing import Any

import jax
import optax

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.training.lars import scale_by_lars
from alexnet_jax.training.norms import clip_by_global_norm
from alexnet_jax.training.schedule import Rates, is_bias


def make_optimizer(config: OptimizerConfig, tower_axis: str | None = None) -> optax.GradientTransformationExtraArgs:
    """Makes the optimizer that ``config`` describes.

    The paper's rule is ``v <- momentum * v - rate * (gradient + decay * w)``, ``w <- w + v``. The learning rate is
    inside the velocity, so that a lower rate does not change the velocity accumulated so far. ``optax.sgd`` and PyTorch
    multiply the velocity by the rate: ``v <- momentum * v + gradient + decay * w``, ``w <- w - rate * v``. LARS is the
    paper's rule with a factor for each array (``scale_by_lars``).

    Args:
        config: the rule and its constants.
        tower_axis: the mapped axis over whose devices every parameter is split. None if the device holds whole arrays.

    Returns:
        A transformation whose ``update`` takes the keyword argument ``rates`` (``Rates``) besides gradients, state and
        parameters. The form of its state does not depend on ``tower_axis``.
    """
    clip = () if config.clip_norm is None else (clip_by_global_norm(config.clip_norm, tower_axis),)
    return optax.chain(*clip, *_rule(config, tower_axis))


def _rule(config: OptimizerConfig, tower_axis: str | None) -> tuple[optax.GradientTransformation, ...]:
    decay_kernels = optax.add_decayed_weights(config.weight_decay, mask=_kernel_mask)
    decay_biases = optax.add_decayed_weights(config.bias_decay, mask=_bias_mask)
    velocity = optax.trace(config.momentum, config.nesterov)
    match config.rule:
        case "paper":
            return decay_kernels, decay_biases, _scale_by_rates(), velocity
        case "optax_sgd":
            return decay_kernels, decay_biases, velocity, _scale_by_rates()
        case "lars":
            lars = scale_by_lars(
                config.lars_trust, lambda path: config.bias_decay if is_bias(path) else config.weight_decay, tower_axis
            )
            return lars, _scale_by_rates(), velocity


def _kernel_mask(params: optax.Params) -> optax.Params:
    return jax.tree_util.tree_map_with_path(lambda path, _: not is_bias(path), params)


def _bias_mask(params: optax.Params) -> optax.Params:
    return jax.tree_util.tree_map_with_path(lambda path, _: is_bias(path), params)


def _scale_by_rates() -> optax.GradientTransformationExtraArgs:
    """Multiplies each update by minus the learning rate of its parameter."""

    def update(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None, *, rates: Rates, **_: Any
    ) -> tuple[optax.Updates, optax.EmptyState]:
        return jax.tree_util.tree_map_with_path(lambda path, update: -rates.of(path) * update, updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)
