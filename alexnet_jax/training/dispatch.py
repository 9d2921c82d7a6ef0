"""Groups batches into dispatches, and decides what is due after a step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from alexnet_jax.config import TrainConfig
from alexnet_jax.data.pipeline import training_batches
from alexnet_jax.data.source import Example, Source


def dispatches(source: Source, config: TrainConfig, start: int) -> Iterator[tuple[int, list[Example]]]:
    """Groups the batches of the steps from ``start`` to the end of the run.

    Args:
        source: the training images.
        config: the run. A group has up to ``config.steps_per_dispatch`` batches.
        start: the number of steps taken so far.

    Yields:
        The number of steps taken after each group, and its batches.
    """
    batches = training_batches(source, config.batch_size, config.seed, start)
    step = start
    while step < config.steps:
        group = list(islice(batches, _group_size(config, step)))
        step += len(group)
        yield step, group


def _group_size(config: TrainConfig, step: int) -> int:
    """``config.steps_per_dispatch``, or 1 if something is due before that many steps after ``step``.

    Larger groups start at multiples of their size, so that a resumed run groups its steps like an uninterrupted one.
    """
    size = config.steps_per_dispatch
    periods = (config.log_every, config.checkpoint_every, _evaluation_period(config))
    due = min(config.steps, *(step + period - step % period for period in periods))
    return size if step % size == 0 and step + size <= due else 1


def evaluates_after(config: TrainConfig, step: int) -> bool:
    """Whether the run evaluates after ``step`` steps."""
    return step % _evaluation_period(config) == 0 or step == config.steps


def saves_after(config: TrainConfig, step: int) -> bool:
    """Whether the run saves a checkpoint after ``step`` steps: also after each evaluation."""
    return evaluates_after(config, step) or step % config.checkpoint_every == 0


def logs_after(config: TrainConfig, step: int) -> bool:
    """Whether the run writes a row of training metrics after ``step`` steps: also before each checkpoint."""
    return saves_after(config, step) or step % config.log_every == 0


def _evaluation_period(config: TrainConfig) -> int:
    return config.evaluate_every * config.steps_per_epoch
