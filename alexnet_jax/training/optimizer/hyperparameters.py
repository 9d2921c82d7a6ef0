"""The numbers of a run that can be traced: mapped over, differentiated, and changed without a new compilation."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from alexnet_jax.config import OptimizerConfig, TrainConfig
from alexnet_jax.config.optax_rules import PREFIX, takes_argument
from alexnet_jax.errors import UsageError

Number = Float[Array, ""] | float | None

_FIELDS = {
    "weight_decay": "optimizer.weight_decay",
    "bias_decay": "optimizer.bias_decay",
    "pca_colour_noise": "augment.pca_colour_noise",
    "label_smoothing": "label_smoothing",
}
_OF_OPTIMIZER = ("learning_rate", "bias_learning_rate", "momentum", "weight_decay", "bias_decay")


class Hyperparameters(flax.struct.PyTreeNode):
    """Numbers that replace those of a config in ``train_step``, ``train_steps``, ``loss_fn`` and the evaluation steps.

    Each field is a float32 scalar. None keeps the number of the config.

    Attributes:
        learning_rate: the rate of the kernels before any drop. The schedule multiplies it by the same factors as the
            rate of the config.
        bias_learning_rate: the same of the biases. If it is None here and in the config, it is ``learning_rate``.
        momentum: the factor of the previous update in the next one.
        weight_decay: the weight decay of the kernels, apart from the layers in ``optimizer.layer_decay``.
        bias_decay: the weight decay of the biases.
        dropout_rate: the fraction of units that a training step sets to zero.
        pca_colour_noise: the standard deviation of the random factor of each colour component.
        label_smoothing: the probability that the loss spreads evenly over all classes.
    """

    learning_rate: Number = None
    bias_learning_rate: Number = None
    momentum: Number = None
    weight_decay: Number = None
    bias_decay: Number = None
    dropout_rate: Number = None
    pca_colour_noise: Number = None
    label_smoothing: Number = None


def hyperparameters(config: TrainConfig) -> Hyperparameters:
    """The hyperparameters of a config. With them, the steps return the same results as without the argument.

    Args:
        config: the run.

    Returns:
        float32 scalars. Fields that the run does not use are None: ``momentum`` under a rule of optax that has none,
        ``dropout_rate`` of a net without dropout, and decays, ``pca_colour_noise`` and ``label_smoothing`` of 0, which
        are not part of the compiled step. ``bias_learning_rate`` is None where the biases have the rate of the kernels.
    """
    numbers = numbers_of(config).replace(bias_learning_rate=config.optimizer.bias_learning_rate)
    return jax.tree.map(jnp.float32, numbers)


def numbers_of(
    config: TrainConfig, given: Hyperparameters | None = None, *, custom: tuple[str, ...] = ()
) -> Hyperparameters:
    """The numbers that a step uses: those of ``given``, and otherwise those of the config, as Python numbers.

    Args:
        config: the run.
        given: the argument ``hyperparameters`` of the step.
        custom: which of "optimizer" and "loss" are not those of the config. Their numbers are then not used.

    Returns:
        ``Hyperparameters``, in which a field that the step does not use is None.

    Raises:
        UsageError: ``given`` has a field that the step does not use.
    """
    has_dropout = any(layer.operation == "dropout" for layer in config.model.layers())
    own = optimizer_numbers(config.optimizer) if "optimizer" not in custom else Hyperparameters()
    own = own.replace(
        dropout_rate=config.model.dropout.rate if has_dropout else None,
        pca_colour_noise=_unless_zero(config.augment.pca_colour_noise),
        label_smoothing=_unless_zero(config.label_smoothing) if "loss" not in custom else None,
    )
    if given is None:
        return own
    changed = {name: value for name, value in vars(given).items() if value is not None}
    for name in changed:
        if getattr(own, name) is None:
            raise UsageError(f"hyperparameters.{name} is given: {_why_unused(name, config, custom)}")
    if "learning_rate" in changed and config.optimizer.bias_learning_rate is None:
        changed.setdefault("bias_learning_rate", changed["learning_rate"])
    return own.replace(**changed)


def optimizer_numbers(config: OptimizerConfig) -> Hyperparameters:
    """The fields that the update rule uses."""
    has_momentum = not config.rule.startswith(PREFIX) or takes_argument(config.rule, "momentum")
    return Hyperparameters(
        learning_rate=config.learning_rate,
        bias_learning_rate=config.learning_rate if config.bias_learning_rate is None else config.bias_learning_rate,
        momentum=config.momentum if has_momentum else None,
        weight_decay=_unless_zero(config.weight_decay),
        bias_decay=_unless_zero(config.bias_decay),
    )


def _unless_zero(value: float) -> float | None:
    return value if value > 0 else None


def _why_unused(name: str, config: TrainConfig, custom: tuple[str, ...]) -> str:
    if name in _OF_OPTIMIZER and "optimizer" in custom:
        return "an optimizer that is not the config's does not use it, leave it None and build it into the optimizer"
    if name == "label_smoothing" and "loss" in custom:
        return "a loss that is not the config's does not use it, leave it None"
    if name == "momentum":
        return f"{config.optimizer.rule} has no such argument, leave it None"
    if name == "dropout_rate":
        return "this net has no dropout, leave it None"
    return f"it is 0 in the config and not part of the step, leave it None or use a config with {_FIELDS[name]} above 0"
