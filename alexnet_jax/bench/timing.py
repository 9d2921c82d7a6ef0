"""Comparable timings: all contenders alternate in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

Contender = Callable[[], float]
"""Does its work once and returns the seconds that it took."""


@dataclass(frozen=True)
class Task:
    """The task of a contender.

    Attributes:
        program: this project or a peer; ``layer`` for a single layer, ``matmul`` for a matrix product.
        form: the form in which a peer runs the net; the name of the layer; the sizes of the product.
        work: ``forward``, ``gradient`` (forward and backward) or ``train`` (a training step).
        flops: floating-point operations of its products, two for each multiply-accumulate.
    """

    program: str
    form: str
    work: str
    flops: int

    def __str__(self) -> str:
        return f"{self.work}: {self.program} {self.form}".rstrip()


@dataclass(frozen=True)
class Timing:
    """The seconds of each run of a task."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of all runs."""
        return statistics.median(self.seconds)

    @property
    def low(self) -> float:
        """The fastest run."""
        return min(self.seconds)

    @property
    def high(self) -> float:
        """The slowest run."""
        return max(self.seconds)


def alternate(
    contenders: Mapping[Task, Contender], repeats: int, on_progress: Callable[[str], None] = lambda text: None
) -> dict[Task, Timing]:
    """Runs each contender once per round, so that the load of the machine affects all of them alike.

    Args:
        contenders: what to time.
        repeats: the number of rounds. A first round, which compiles and warms up, does not count.
        on_progress: called with a line before each run.
    """
    rounds = []
    for number in range(repeats + 1):
        seconds = {}
        for task, contender in contenders.items():
            on_progress(f"round {number} of {repeats}, {task}" if number > 0 else f"warming up, {task}")
            seconds[task] = contender()
        rounds.append(seconds)
    return {task: Timing(tuple(seconds[task] for seconds in rounds[1:])) for task in contenders}


def seconds_of(function: Callable[..., Any], *arguments: Any) -> float:
    """The seconds until all results of ``function`` are ready."""
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start
