"""The errors that end a run whose numbers are no longer finite."""

from __future__ import annotations

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import NotFiniteError


def diverged(found: str, config: TrainConfig) -> NotFiniteError:
    """The error after an update.

    Args:
        found: what is not finite, and after which step.
        config: the run.
    """
    return NotFiniteError(
        f"{found}: the run diverged, probably because the learning rate is too high; use another --workdir with "
        f"--optimizer.learning_rate below {config.optimizer.learning_rate:g}"
    )


def not_finite_at_start(found: str, config: TrainConfig) -> NotFiniteError:
    """The error before the first update, for which the learning rate is not the cause.

    Args:
        found: what is not finite.
        config: the run.
    """
    if config.init is not None:
        remedy = f"use --init with other weights than {config.init}"
    elif config.dtype != "float32":
        remedy = "use --dtype float32"
    else:
        remedy = "use smaller standard deviations of the initial weights, or check the constants of the normalisation"
    return NotFiniteError(f"{found}, before any update: {remedy}")
