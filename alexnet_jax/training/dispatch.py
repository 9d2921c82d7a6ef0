"""Groups batches into dispatches, and decides what is due after each of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice

import jax

from alexnet_jax.config import TrainConfig
from alexnet_jax.data.pipeline import training_batches, training_indices
from alexnet_jax.data.source import Example, Joined, Source
from alexnet_jax.training.steps.metrics import Metrics

MOST_IN_FLIGHT = 2
"""Dispatches that the device may not have finished when the next batches are read."""


def dispatches(
    source: Source,
    config: TrainConfig,
    start: int,
    validation: Source | None = None,
    rows: tuple[int, int] = (0, 1),
    held: bool = False,
) -> Iterator[tuple[int, list[Example]]]:
    """Groups the batches of the steps from ``start`` to the end of the run.

    Groups start at multiples of ``config.steps_per_dispatch`` within an epoch, and the last one of an epoch may be
    shorter. So the groups, and with them the parameters bit for bit, do not depend on the length of the run or on what
    is due between its steps.

    Args:
        source: the training images.
        config: the run.
        start: the number of steps taken so far.
        validation: the validation images, on which the run trains from ``config.data.fold_in_epoch``.
        rows: the part of each batch that this process reads: its number, and the number of parts.
        held: whether the devices hold the examples, so that a batch has their indices. For one process.

    Yields:
        The number of steps taken after each group, and its batches.
    """
    batches = _batches(source, config, start, validation, rows, held)
    step = start
    for size in _group_sizes(config, start):
        step += size
        yield step, list(islice(batches, size))


def _batches(
    source: Source, config: TrainConfig, start: int, validation: Source | None, rows: tuple[int, int], held: bool
) -> Iterator[Example]:
    index, count = rows
    read = training_indices if held else partial(training_batches, process_index=index, process_count=count)
    batches_of = partial(read, batch_size=config.batch_size, seed=config.seed)
    fold_in = config.fold_in_step
    if fold_in is None or validation is None:
        return batches_of(source, start=start)
    joined = Joined(source, validation)
    if start >= fold_in:
        return batches_of(joined, start=start - fold_in)
    return chain(islice(batches_of(source, start=start), fold_in - start), batches_of(joined))


def distinct_group_sizes(config: TrainConfig, start: int) -> set[int]:
    """The sizes of the groups of ``dispatches``. Each is compiled separately."""
    two_epochs = 2 * config.steps_per_epoch  # the rest of the epoch of ``start``, and a whole one
    return set(islice(_group_sizes(config, start), two_epochs))


def _group_sizes(config: TrainConfig, start: int) -> Iterator[int]:
    size, epoch = config.steps_per_dispatch, config.steps_per_epoch
    step = start
    while step < config.steps:
        done = step % epoch
        count = min(size - done % size, epoch - done)
        yield count
        step += count


class InFlight:
    """Bounds the dispatches in flight, and with them the batches that wait in the memory of an accelerator."""

    def __init__(self) -> None:
        self._metrics: deque[Metrics] = deque()

    def add(self, metrics: Metrics) -> None:
        """Adds a dispatch that returned ``metrics``. Waits until at most ``MOST_IN_FLIGHT`` are left."""
        self._metrics.append(metrics)
        if len(self._metrics) > MOST_IN_FLIGHT:
            jax.block_until_ready(self._metrics.popleft())


def evaluates_after(config: TrainConfig, step: int) -> bool:
    """Whether the run evaluates after ``step`` steps: every ``config.evaluate_every`` epochs, and at its end."""
    is_regular = step % (config.evaluate_every * config.steps_per_epoch) == 0
    return step > 0 and (is_regular or step == config.steps)


def validates_after(config: TrainConfig, step: int) -> bool:
    """Whether an evaluation after ``step`` steps uses the validation images: until the run trains on them."""
    return config.fold_in_step is None or step <= config.fold_in_step


def observes_after(config: TrainConfig, step: int) -> bool:
    """Whether the rule "plateau" observes an evaluation after ``step`` steps.

    It does not observe the evaluation at the end of the run. A longer run may not have that evaluation, or repeats it
    when it resumes.
    """
    return config.schedule.rule == "plateau" and evaluates_after(config, step) and step < config.steps


def saves_after(config: TrainConfig, before: int, step: int) -> bool:
    """Whether the run saves a checkpoint after the group of steps from ``before`` to ``step``.

    It does so where an evaluation is due, where the checkpoint is kept, and at the end of the first group that reaches
    a multiple of ``config.checkpoint_every``.
    """
    return evaluates_after(config, step) or keeps_after(config, step) or _passes(config.checkpoint_every, before, step)


def keeps_after(config: TrainConfig, step: int) -> bool:
    """Whether the checkpoint after ``step`` steps is kept: every ``config.keep_every`` epochs."""
    return config.keep_every is not None and step > 0 and step % (config.keep_every * config.steps_per_epoch) == 0


def logs_after(config: TrainConfig, before: int, step: int) -> bool:
    """Whether the run writes a row of training metrics after a group of steps: also before each checkpoint."""
    return saves_after(config, before, step) or _passes(config.log_every, before, step)


def _passes(period: int, before: int, step: int) -> bool:
    return step // period > before // period
