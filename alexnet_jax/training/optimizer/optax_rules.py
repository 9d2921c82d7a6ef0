"""The optimizers of optax with a learning rate and a weight decay for each array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import optax

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.config.optax_rules import PREFIX, optax_optimizer
from alexnet_jax.errors import UsageError
from alexnet_jax.training.optimizer.schedule import Rates

ELEMENTWISE = frozenset(
    PREFIX + name
    for name in (
        *("adabelief", "adadelta", "adagrad", "adam", "adamax", "adamaxw", "adamw", "adan", "amsgrad", "lion", "nadam"),
        *("nadamw", "optimistic_adam_v2", "optimistic_gradient_descent", "radam", "rmsprop"),
        *("rprop", "sgd", "sign_sgd", "signum", "yogi"),
    )
)
"""Rules whose update of a number depends on no other number, so that they are right for a part of an array."""


def optax_rule(
    config: OptimizerConfig, momentum: Any, decay: Callable[[tuple[Any, ...]], Any], tower_axis: str | None
) -> optax.GradientTransformationExtraArgs:
    """The rule ``config.rule`` of optax, for each array by itself. Frozen layers have no state.

    The optimizer is built again in each step, because optax takes the learning rate when it builds one.

    Args:
        config: the rule and its arguments.
        momentum: the momentum, a number or a scalar array, for rules that have it.
        decay: the weight decay of the parameter at a path of the tree.
        tower_axis: the mapped axis over whose devices every parameter is split. None if the device holds whole arrays.

    Raises:
        UsageError: ``tower_axis`` is given and the rule is not element-wise.
    """
    if tower_axis is not None and config.rule not in ELEMENTWISE:
        raise UsageError(
            f"optimizer.rule is {config.rule!r}: it needs whole arrays, which two devices do not hold, use "
            "--layout mesh, --devices 1 or a rule such as lars or optax.adamw"
        )

    def label(path: tuple[Any, ...]) -> str:
        return "frozen" if path[0].key in config.frozen else jax.tree_util.keystr(path, simple=True, separator="/")

    def optimizer_of(path: tuple[Any, ...], rates: Rates) -> optax.GradientTransformation:
        if path[0].key in config.frozen:
            return optax.set_to_zero()
        return optax_optimizer(
            config.rule, rates.of(path), decay(path), momentum, config.nesterov, config.rule_arguments
        )

    def all_arrays(params: optax.Params, rates: Rates) -> optax.GradientTransformationExtraArgs:
        paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(params)]
        labels = jax.tree_util.tree_map_with_path(lambda path, _: label(path), params)
        return optax.partition({label(path): optimizer_of(path, rates) for path in paths}, labels)

    def init(params: optax.Params) -> optax.OptState:
        return all_arrays(params, _initial_rates(config)).init(params)

    def update(
        updates: optax.Updates, state: optax.OptState, params: optax.Params | None = None, *, rates: Rates, **_: Any
    ) -> tuple[optax.Updates, optax.OptState]:
        with jax.numpy_dtype_promotion("standard"):  # which parts of optax need
            return all_arrays(updates, rates).update(updates, state, params)

    return optax.GradientTransformationExtraArgs(init, update)


def _initial_rates(config: OptimizerConfig) -> Rates:
    rate, bias_rate = config.learning_rate, config.bias_learning_rate
    return Rates(*map(jax.numpy.float32, (rate, rate if bias_rate is None else bias_rate)))
