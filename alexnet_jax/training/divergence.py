"""Detects runs that do not learn: values that are not finite, and a loss that stays at that of random guessing."""

from __future__ import annotations

import math

import numpy as np

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


_MOST_NAMED = 5


class SkippedSteps:
    """Counts the steps that a run with ``--on_nan skip`` passes over.

    Args:
        config: the run.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        self._in_a_row = 0
        self._count = 0

    def add(self, step: int, skipped: np.ndarray) -> str | None:
        """Adds the last steps, and returns a note if some of them were skipped.

        Args:
            step: the number of steps taken.
            skipped: for each of the last steps, whether it was skipped.

        Raises:
            NotFiniteError: a whole epoch of steps was skipped.
        """
        kept = np.flatnonzero(~skipped)
        self._in_a_row = len(skipped) - 1 - int(kept[-1]) if len(kept) else self._in_a_row + len(skipped)
        if self._in_a_row >= self._config.steps_per_epoch:
            before = step - self._in_a_row
            error = diverged if before > 0 else not_finite_at_start
            raise error(f"all {self._in_a_row:,} steps after step {before:,} were skipped", self._config)
        found = step - len(skipped) + 1 + np.flatnonzero(skipped)
        self._count += len(found)
        if not len(found):
            return None
        names = ", ".join(f"{each:,}" for each in found[:_MOST_NAMED]) + (", ..." if len(found) > _MOST_NAMED else "")
        return f"{len(found)} of {len(skipped)} steps skipped, loss or gradients not finite: {names}"

    def take(self) -> int:
        """The number of skipped steps since the last call."""
        count, self._count = self._count, 0
        return count


_EPOCHS_TO_START = 2
_CLOSE = 0.005  # of ln(classes); after two epochs, nets that learn are further below it


def note_if_stuck(loss: float, step: int, config: TrainConfig) -> str | None:
    """A note if the net still predicts all classes alike, or None.

    A deep net without batch normalisation may never leave this state, which the authors' initial biases of 1 avoid
    (paper, section 5).

    Args:
        loss: the mean loss of the last steps in nats.
        step: the number of steps taken.
        config: the run.
    """
    chance = math.log(config.model.classes)
    if step < _EPOCHS_TO_START * config.steps_per_epoch or abs(loss - chance) > _CLOSE * chance:
        return None
    return (
        f"after {step / config.steps_per_epoch:.0f} epochs the loss is still ln({config.model.classes}) = "
        f"{chance:.3f}, that of random guessing; if it stays there, try another --optimizer.learning_rate or --seed, a "
        "larger kernel_stddev of the layers, or a bias of 1"
    )
