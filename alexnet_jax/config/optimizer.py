"""The config of the update rule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from alexnet_jax.config.checks import (
    check,
    check_finite,
    check_fraction,
    check_not_negative,
    check_positive,
    make_lists_tuples,
)
from alexnet_jax.config.optax_rules import PREFIX, check_optax_rule
from alexnet_jax.config.types import check_types

_RULES = ("paper", "optax_sgd", "lars")


@dataclass(frozen=True)
class OptimizerConfig:
    """Stochastic gradient descent with momentum."""

    section: ClassVar[str] = "optimizer."

    learning_rate: float = 0.01
    """Initial learning rate of the weights."""
    bias_learning_rate: float | None = None
    """Initial learning rate of the biases. None uses that of the weights."""
    momentum: float = 0.9
    """Factor of the previous update in the next one."""
    weight_decay: float = 0.0005
    """Weight decay of the kernels: the factor of a weight that is added to its gradient."""
    bias_decay: float = 0.0
    """Weight decay of the biases."""
    layer_decay: tuple[tuple[str, float], ...] = ()
    """Weight decay of the kernels of single layers, as LAYER DECAY, in place of weight_decay."""
    frozen: tuple[str, ...] = ()
    """Names of layers that keep their initial values, such as conv1 or fc6."""
    rule: str = "paper"
    """paper: the learning rate is inside the velocity (section 5). optax_sgd: outside, as in optax.sgd and PyTorch. The
    two differ after a change of the rate. lars: as paper, with a factor lars_trust |w| / |gradient| for each array.
    optax.NAME: an optimizer of optax, such as optax.adamw."""
    rule_arguments: tuple[tuple[str, float], ...] = ()
    """For optax.NAME: other arguments, as NAME VALUE, such as b2 0.95. momentum, nesterov and weight_decay are passed
    where the optimizer has these arguments. Without weight_decay, the decay is added to the gradients."""
    nesterov: bool = False
    """Use Nesterov momentum."""
    lars_trust: float = 0.001
    """For lars: the ratio of the norms of an update and its array, at learning rate 1."""
    clip_norm: float | None = None
    """Largest norm of the gradients of all parameters together. Larger ones are scaled down. None does not clip."""

    ema_decay: float | None = None
    """Decay of an exponential moving average of all weights, such as 0.9999. Evaluation, prediction and export then use
    the average. None: no average."""

    def __post_init__(self) -> None:
        make_lists_tuples(self)
        check_types(self, self.section)
        check_finite(self.rule_arguments, "optimizer.rule_arguments")
        if self.rule.startswith(PREFIX):
            check_optax_rule(self.rule, self.nesterov, self.rule_arguments)
        else:
            check(self.rule in _RULES, "optimizer.rule", self.rule, f"use {', '.join(_RULES)} or optax.NAME")
            check(not self.rule_arguments, "optimizer.rule_arguments", self.rule_arguments, "use a rule optax.NAME")
        check_positive(self, "learning_rate", "lars_trust", "clip_norm")
        check_not_negative(self, "bias_learning_rate", "weight_decay", "bias_decay")
        check_fraction(self, "momentum", "ema_decay")
        are_allowed = all(0 <= decay < math.inf for _, decay in self.layer_decay)
        check(are_allowed, "optimizer.layer_decay", self.layer_decay, "use 0 or more")
