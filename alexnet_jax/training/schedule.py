"""Learning rates: a function of the step, or of how the validation error has gone (paper, section 5)."""

from __future__ import annotations

import flax.struct
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from alexnet_jax.config import ScheduleConfig, TrainConfig


class Plateau(flax.struct.PyTreeNode):
    """What the rule "divide when the validation error stops improving" remembers."""

    best_error: Float[Array, ""]
    stale: Int[Array, ""]
    """Validations since the best error, or since the last drop."""
    drops: Int[Array, ""]

    @classmethod
    def start(cls) -> Plateau:
        """Before the first validation."""
        return cls(jnp.array(jnp.inf, jnp.float32), jnp.array(0, jnp.int32), jnp.array(0, jnp.int32))


def observe_error(plateau: Plateau, error: Float[Array, ""] | float, config: ScheduleConfig) -> Plateau:
    """The memory after one more validation: ``config.patience`` of them without a new best error make a drop."""
    improved = error < plateau.best_error
    stale = jnp.where(improved, 0, plateau.stale + 1)
    drop = (stale >= config.patience) & (plateau.drops < config.max_drops)
    return Plateau(
        best_error=jnp.where(improved, error, plateau.best_error).astype(jnp.float32),
        stale=jnp.where(drop, 0, stale),
        drops=plateau.drops + drop.astype(jnp.int32),
    )


class Rates(flax.struct.PyTreeNode):
    """Learning rates of one step."""

    kernel: Float[Array, ""]
    bias: Float[Array, ""]
    layers: dict[str, Float[Array, ""]] = flax.struct.field(default_factory=dict)
    """What multiplies both in a layer that has a rate of its own."""


def learning_rates(step: Int[Array, ""], plateau: Plateau, config: TrainConfig) -> Rates:
    """The rates of the step after ``step`` steps.

    Raises UsageError under the rule "steps" where the length of an epoch is not known.
    """
    schedule, optimizer = config.schedule, config.optimizer
    if schedule.rule == "steps":
        boundaries = [round(epoch * config.steps_per_epoch) for epoch in schedule.epochs]
        drops = sum((step >= boundary).astype(jnp.int32) for boundary in boundaries) + jnp.zeros((), jnp.int32)
        most = len(boundaries)
    else:
        drops, most = plateau.drops, schedule.max_drops
    shares = jnp.array([schedule.factor**count for count in range(most + 1)], jnp.float32)[drops]
    bias_rate = optimizer.learning_rate if optimizer.bias_learning_rate is None else optimizer.bias_learning_rate
    bias_shares = shares if schedule.biases == "follow" else jnp.ones((), jnp.float32)
    return Rates(
        kernel=optimizer.learning_rate * shares,
        bias=bias_rate * bias_shares,
        layers=_layer_factors(step, config),
    )


def _layer_factors(step: Int[Array, ""], config: TrainConfig) -> dict[str, Float[Array, ""]]:
    factors: dict[str, Float[Array, ""]] = {}
    for layer, epoch, factor in sorted(config.schedule.layer_rates, key=lambda entry: entry[1]):
        begin = round(epoch * config.steps_per_epoch) if epoch > 0 else 0
        factors[layer] = jnp.where(step >= begin, jnp.float32(factor), factors.get(layer, jnp.float32(1)))
    return factors | dict.fromkeys(config.optimizer.frozen, jnp.float32(0))
