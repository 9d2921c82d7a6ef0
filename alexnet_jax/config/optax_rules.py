"""The optimizers of optax as values of ``OptimizerConfig.rule``, such as ``optax.adamw``."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from alexnet_jax.config.checks import check
from alexnet_jax.errors import UsageError, first_line

if TYPE_CHECKING:
    import optax

PREFIX = "optax."
_FIELDS = ("learning_rate", "momentum", "nesterov", "weight_decay")
"""The arguments that have fields of their own."""


def optax_optimizer(
    name: str, rate: Any, decay: Any, momentum: Any, nesterov: bool, arguments: tuple[tuple[str, float], ...]
) -> optax.GradientTransformationExtraArgs:
    """The optimizer ``name`` of optax for arrays that have the same learning rate and weight decay.

    Args:
        name: such as ``optax.adamw``.
        rate: the learning rate, a number or a scalar array.
        decay: the weight decay, a number or a scalar array. If the optimizer has no argument ``weight_decay``, it is
            added to the gradients.
        momentum: the argument ``momentum`` of optimizers that have it. Others ignore it.
        nesterov: whether to set the argument ``nesterov``.
        arguments: other arguments by name.

    Raises:
        UsageError: optax has no such optimizer, or an argument does not fit it.
    """
    import optax

    make, parameters = _function_of(name)
    remedy = "optax has no such optimizer, use one such as optax.adamw"
    check("learning_rate" in parameters, "optimizer.rule", name, remedy)
    values: dict[str, Any] = {"learning_rate": rate, **dict(arguments)}
    others = [each for each in parameters if each not in _FIELDS]
    for argument, _ in arguments:
        check(argument in others, "optimizer.rule_arguments", argument, f"use arguments of {name}: {', '.join(others)}")
    if "momentum" in parameters:
        values["momentum"] = momentum
    if nesterov:
        check("nesterov" in parameters, "optimizer.nesterov", True, f"use False, because {name} has no such argument")
        values["nesterov"] = True
    if "weight_decay" in parameters:
        return make(weight_decay=decay, **values)
    return optax.chain(optax.add_decayed_weights(decay), make(**values))


def takes_argument(name: str, argument: str) -> bool:
    """Whether the optimizer ``name`` of optax has this argument."""
    return argument in _function_of(name)[1]


def _function_of(name: str) -> tuple[Any, Mapping[str, inspect.Parameter]]:
    """The function of optax that makes an optimizer, and its parameters, which are empty if there is none."""
    import optax

    make: Any = getattr(optax, name.removeprefix(PREFIX), None)
    is_function = inspect.isfunction(make) or isinstance(make, partial)
    return make, inspect.signature(make).parameters if is_function else {}


@cache
def check_optax_rule(name: str, nesterov: bool, arguments: tuple[tuple[str, float], ...]) -> None:
    """Raises UsageError unless ``name`` works with a learning rate, gradients and parameters alone.

    Only shapes are computed, so that JAX does not choose its devices yet.
    """
    import jax
    import numpy as np

    def step(rate: Any, array: Any) -> Any:
        optimizer = optax_optimizer(name, rate, 0.0, 0.9, nesterov, arguments)
        return optimizer.update(array, optimizer.init(array), array)

    try:
        with jax.numpy_dtype_promotion("standard"):
            shapes = (jax.ShapeDtypeStruct(shape, np.float32) for shape in ((), (2, 3)))
            jax.eval_shape(step, *shapes)
    except UsageError:
        raise
    except Exception as error:  # whatever optax and JAX raise for a missing or wrong argument
        raise UsageError(
            f"optimizer.rule is {name!r}: it does not work with a learning rate, gradients and parameters alone "
            f"({first_line(error)}), use one such as optax.adamw"
        ) from error
