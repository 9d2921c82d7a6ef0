"""The config of the learning-rate schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from alexnet_jax.config.checks import check, check_not_negative, check_positive, make_lists_tuples
from alexnet_jax.config.types import check_types


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning-rate schedule."""

    section: ClassVar[str] = "schedule."

    rule: Literal["steps", "plateau", "cosine", "polynomial"] = "plateau"
    """steps: the rate drops at the given epochs. plateau: when the validation error stops improving (paper, section
    5). cosine: it falls along half a cosine. polynomial: in proportion to (1 - t)**power, with t from 0 to 1."""
    factor: float = 0.1
    """For steps and plateau: factor of the rate at each drop."""
    epochs: tuple[float, ...] = ()
    """For steps: the epochs at which the rate drops."""
    patience: int = 5
    """For plateau: number of validations without a new lowest error before a drop."""
    max_drops: int = 3
    """For plateau: the largest number of drops."""
    power: float = 2.0
    """For polynomial: the exponent. 1 is a linear fall."""
    decay_epochs: float | None = None
    """For cosine and polynomial: the epoch at which the rate reaches final_rate. None uses the end of the run."""
    final_rate: float = 0.0
    """For cosine and polynomial: the rate of the weights from that epoch on."""
    warm_up_epochs: float = 0.0
    """Epochs of warm-up, which replaces the first part of the rule. t of cosine and polynomial counts from step 0."""
    warm_up: Literal["linear", "quadratic"] = "linear"
    """How the rate rises in the warm-up, from warm_up_rate to learning_rate."""
    warm_up_rate: float = 0.0
    """The rate of the weights at the first step of the warm-up."""
    biases: Literal["follow", "stay", "steps"] = "follow"
    """follow: the rate of the biases changes in proportion to that of the weights. stay: it does not change, as in the
    authors' run of 2012. steps: it drops at epochs of its own, as in their code of 2014."""
    bias_factor: float = 0.1
    """For biases steps: factor of the biases' rate at each drop."""
    bias_epochs: tuple[float, ...] = ()
    """For biases steps: the epochs at which the biases' rate drops."""
    layer_rates: tuple[tuple[str, float, float], ...] = ()
    """Rates of single layers, as LAYER EPOCH FACTOR: from that epoch on, the layer's rate is multiplied by FACTOR. If
    biases follow, the rate of the layer's biases is multiplied as well. A FACTOR of 0 always freezes the biases."""

    def __post_init__(self) -> None:
        make_lists_tuples(self)
        check_types(self, self.section)
        for name in ("factor", "bias_factor"):
            factor = getattr(self, name)
            check(0 < factor <= 1, f"schedule.{name}", factor, "use a number above 0 and at most 1")
        check_positive(self, "patience", "power", "decay_epochs")
        check_not_negative(self, "max_drops", "final_rate", "warm_up_epochs", "warm_up_rate")
        for name in ("epochs", "bias_epochs"):
            epochs = getattr(self, name)
            check(list(epochs) == sorted(epochs), f"schedule.{name}", epochs, "use ascending epochs")
            check(all(epoch > 0 for epoch in epochs), f"schedule.{name}", epochs, "use epochs above 0")
        numbers = [number for _, *pair in self.layer_rates for number in pair]
        check(
            all(0 <= number < math.inf for number in numbers), "schedule.layer_rates", self.layer_rates, "use 0 or more"
        )
