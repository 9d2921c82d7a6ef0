"""The update rules as optax transformations: the paper's (section 5), that of ``optax.sgd``, LARS, and optax's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import optax

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.config.optax_rules import PREFIX
from alexnet_jax.training.optimizer.hyperparameters import Hyperparameters, optimizer_numbers
from alexnet_jax.training.optimizer.lars import scale_by_lars
from alexnet_jax.training.optimizer.norms import clip_by_global_norm
from alexnet_jax.training.optimizer.optax_rules import optax_rule
from alexnet_jax.training.optimizer.schedule import Rates, is_bias


def make_optimizer(
    config: OptimizerConfig, tower_axis: str | None = None, numbers: Hyperparameters | None = None
) -> optax.GradientTransformationExtraArgs:
    """Makes the optimizer that ``config`` describes.

    The paper's rule is ``v <- momentum * v - rate * (gradient + decay * w)``, ``w <- w + v``. The learning rate is
    inside the velocity, so that a lower rate does not change the velocity accumulated so far. ``optax.sgd`` and PyTorch
    multiply the velocity by the rate: ``v <- momentum * v + gradient + decay * w``, ``w <- w - rate * v``. LARS is the
    paper's rule with a factor for each array (``scale_by_lars``).

    Args:
        config: the rule and its constants.
        tower_axis: the mapped axis over whose devices every parameter is split. None if the device holds whole arrays.
        numbers: ``momentum``, ``weight_decay`` and ``bias_decay``, which may be traced. None uses those of ``config``.

    Returns:
        A transformation whose ``update`` takes the keyword argument ``rates`` (``Rates``) besides gradients, state and
        parameters. The form of its state does not depend on ``tower_axis``.

    Raises:
        UsageError: the rule does not work on arrays that are split.
    """
    clip = () if config.clip_norm is None else (clip_by_global_norm(config.clip_norm, tower_axis),)
    return optax.chain(*clip, *_rule(config, tower_axis, _without_none(numbers or optimizer_numbers(config))))


def _rule(config: OptimizerConfig, tower_axis: str | None, numbers: Any) -> tuple[optax.GradientTransformation, ...]:
    decay = partial(_decay, config, numbers)
    if config.rule.startswith(PREFIX):
        return (optax_rule(config, numbers.momentum, decay, tower_axis),)
    velocity = optax.trace(numbers.momentum, config.nesterov)
    if config.rule == "lars":
        return scale_by_lars(config.lars_trust, decay, tower_axis), _scale_by_rates(), velocity
    decays = (*_kernel_decays(config, numbers), optax.add_decayed_weights(numbers.bias_decay, mask=_mask(is_bias)))
    if config.rule == "optax_sgd":
        return *decays, velocity, _scale_by_rates()
    return *decays, _scale_by_rates(), velocity


def _without_none(numbers: Hyperparameters) -> Hyperparameters:
    """``numbers`` with decays of 0 in place of None."""
    missing = [name for name in ("weight_decay", "bias_decay") if getattr(numbers, name) is None]
    return numbers.replace(**dict.fromkeys(missing, 0.0))


def _decay(config: OptimizerConfig, numbers: Any, path: tuple[Any, ...]) -> Any:
    """The weight decay of the parameter at ``path``."""
    if is_bias(path):
        return numbers.bias_decay
    return dict(config.layer_decay).get(path[0].key, numbers.weight_decay)


def _kernel_decays(config: OptimizerConfig, numbers: Any) -> Iterator[optax.GradientTransformation]:
    """The weight decay of the kernels: of most of them, and of each layer that has its own."""
    layers = dict(config.layer_decay)
    others = _mask(lambda path: not is_bias(path) and path[0].key not in layers)
    yield optax.add_decayed_weights(numbers.weight_decay, mask=others)
    for layer, decay in layers.items():
        mask = _mask(lambda path, layer=layer: not is_bias(path) and path[0].key == layer)  # type: ignore[misc]
        yield optax.add_decayed_weights(decay, mask=mask)


def _mask(applies: Callable[[tuple[Any, ...]], bool]) -> Callable[[optax.Params], optax.Params]:
    """A function of the parameters that returns for each whether ``applies`` is true of its path."""
    return partial(jax.tree_util.tree_map_with_path, lambda path, _: applies(path))


def _scale_by_rates() -> optax.GradientTransformationExtraArgs:
    """Multiplies each update by minus the learning rate of its parameter."""

    def update(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None, *, rates: Rates, **_: Any
    ) -> tuple[optax.Updates, optax.EmptyState]:
        return jax.tree_util.tree_map_with_path(lambda path, update: -rates.of(path) * update, updates), state

    return optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)
