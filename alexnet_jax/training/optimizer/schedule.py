"""Learning rates: a function of the step, or of the validation errors so far (paper, section 5)."""

from __future__ import annotations

from typing import Any

import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from alexnet_jax.config import ScheduleConfig, TrainConfig
from alexnet_jax.training.optimizer.hyperparameters import Hyperparameters, optimizer_numbers


class Plateau(flax.struct.PyTreeNode):
    """The state of the rule "plateau": divide the learning rate when the validation error stops improving.

    Attributes:
        best_error: the smallest validation error so far, as a fraction.
        stale: the number of validations since the best error or the last drop.
        drops: the number of drops of the learning rate.
    """

    best_error: Float[Array, ""]
    stale: Int[Array, ""]
    drops: Int[Array, ""]

    @classmethod
    def start(cls) -> Plateau:
        """The state before the first validation."""
        return cls(jnp.array(jnp.inf, jnp.float32), jnp.array(0, jnp.int32), jnp.array(0, jnp.int32))


def observe_error(plateau: Plateau, error: Float[Array, ""] | float, config: ScheduleConfig) -> Plateau:
    """The state after one more validation. ``config.patience`` validations without a new best error cause a drop.

    Args:
        plateau: the state before.
        error: the validation error, as a fraction.
        config: the schedule.
    """
    improved = error < plateau.best_error
    stale = jnp.where(improved, 0, plateau.stale + 1)
    drop = (stale >= config.patience) & (plateau.drops < config.max_drops)
    return Plateau(
        best_error=jnp.where(improved, error, plateau.best_error).astype(jnp.float32),
        stale=jnp.where(drop, 0, stale),
        drops=plateau.drops + drop.astype(jnp.int32),
    )


class Rates(flax.struct.PyTreeNode):
    """The learning rates of one step.

    Attributes:
        kernel: the rate of the kernels.
        bias: the rate of the biases.
        layers: factors of the kernels' rate by layer, for layers whose rates differ from the others'.
        bias_layers: the same for the biases' rate.
    """

    kernel: Float[Array, ""]
    bias: Float[Array, ""]
    layers: dict[str, Float[Array, ""]] = flax.struct.field(default_factory=dict)
    bias_layers: dict[str, Float[Array, ""]] = flax.struct.field(default_factory=dict)

    def of(self, path: tuple[Any, ...]) -> Float[Array, ""]:
        """The rate of the parameter at ``path`` of the tree."""
        rate, layers = (self.bias, self.bias_layers) if is_bias(path) else (self.kernel, self.layers)
        factor = layers.get(path[0].key)
        return rate if factor is None else rate * factor


def is_bias(path: tuple[Any, ...]) -> bool:
    """Whether the parameter at ``path`` of the tree is a bias."""
    return path[-1].key == "bias"


def learning_rates(
    step: Int[Array, ""], plateau: Plateau, config: TrainConfig, numbers: Hyperparameters | None = None
) -> Rates:
    """The learning rates of one step.

    Args:
        step: the number of steps taken before it.
        plateau: the state of the rule "plateau". The other rules ignore it.
        config: the run.
        numbers: ``learning_rate`` and ``bias_learning_rate``, which may be traced. None uses those of ``config``.

    Raises:
        UsageError: ``config.data.train_examples`` is None, so that the number of steps in an epoch is not known, and
            the rates depend on it.
    """
    schedule, initial = config.schedule, numbers or optimizer_numbers(config.optimizer)
    assert initial.learning_rate is not None
    assert initial.bias_learning_rate is not None
    factor = _warm_up(step, _factor(step, plateau, config), config)
    layers = bias_layers = _layer_factors(step, config)
    if schedule.biases != "follow":
        bias_layers = {layer: (factor > 0).astype(jnp.float32) for layer, factor in layers.items()}
    match schedule.biases:
        case "follow":
            bias_factor = factor
        case "stay":
            bias_factor = jnp.ones((), jnp.float32)
        case "steps":
            bias_factor = _step_factor(step, schedule.bias_epochs, schedule.bias_factor, config)
    return Rates(
        kernel=initial.learning_rate * factor,
        bias=initial.bias_learning_rate * bias_factor,
        layers=layers,
        bias_layers=bias_layers,
    )


def _factor(step: Int[Array, ""], plateau: Plateau, config: TrainConfig) -> Float[Array, ""]:
    """The rate as a fraction of the initial one, without warm-up."""
    schedule = config.schedule
    match schedule.rule:
        case "steps":
            return _step_factor(step, schedule.epochs, schedule.factor, config)
        case "plateau":
            return _factor_after(plateau.drops, schedule.max_drops, schedule.factor)
        case "cosine":
            fall = 0.5 * (1 + jnp.cos(jnp.pi * _progress(step, config)))
        case "polynomial":
            fall = (1 - _progress(step, config)) ** schedule.power
    final = schedule.final_rate / config.optimizer.learning_rate
    return final + (1 - final) * fall


def _step_factor(
    step: Int[Array, ""], epochs: tuple[float, ...], factor: float, config: TrainConfig
) -> Float[Array, ""]:
    """The product of a ``factor`` for each of the ``epochs`` that has begun."""
    boundaries = [config.step_of(epoch) for epoch in epochs]
    drops = sum((step >= boundary).astype(jnp.int32) for boundary in boundaries) + jnp.zeros((), jnp.int32)
    return _factor_after(drops, len(boundaries), factor)


def _factor_after(drops: Int[Array, ""], most_drops: int, factor: float) -> Float[Array, ""]:
    return jnp.array([factor**count for count in range(most_drops + 1)], jnp.float32)[drops]


def _progress(step: Int[Array, ""], config: TrainConfig) -> Float[Array, ""]:
    """The fraction of the decay that lies behind ``step``, at most 1."""
    epochs = config.schedule.decay_epochs
    steps = config.steps if epochs is None else config.step_of(epochs)
    return jnp.minimum(step.astype(jnp.float32) / max(steps, 1), 1)


def _warm_up(step: Int[Array, ""], factor: Float[Array, ""], config: TrainConfig) -> Float[Array, ""]:
    """``factor``, or in the warm-up its rise from ``warm_up_rate`` to the initial rate."""
    schedule = config.schedule
    if schedule.warm_up_epochs == 0:
        return factor
    steps = config.step_of(schedule.warm_up_epochs)
    rise = (step.astype(jnp.float32) / max(steps, 1)) ** (2 if schedule.warm_up == "quadratic" else 1)
    start = schedule.warm_up_rate / config.optimizer.learning_rate
    return jnp.where(step < steps, start + (1 - start) * rise, factor)


def _layer_factors(step: Int[Array, ""], config: TrainConfig) -> dict[str, Float[Array, ""]]:
    factors: dict[str, Float[Array, ""]] = {}
    for layer, epoch, factor in sorted(config.schedule.layer_rates, key=lambda entry: entry[1]):
        first_step = config.step_of(epoch) if epoch > 0 else 0
        factors[layer] = jnp.where(step >= first_step, jnp.float32(factor), factors.get(layer, jnp.float32(1)))
    return factors | dict.fromkeys(config.optimizer.frozen, jnp.float32(0))
