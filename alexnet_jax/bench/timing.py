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

TURN = 0.5
"""The shortest turn of a contender in seconds. Short work is repeated until then."""
_MOST_IN_A_TURN = 200


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
    """The seconds of a task in each turn."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median of all turns."""
        return statistics.median(self.seconds)

    @property
    def low(self) -> float:
        """The fastest turn."""
        return min(self.seconds)

    @property
    def high(self) -> float:
        """The slowest turn."""
        return max(self.seconds)


def alternate(
    contenders: Mapping[Task, Contender], repeats: int, on_progress: Callable[[str], None] = lambda text: None
) -> dict[Task, Timing]:
    """Gives each contender one turn per round, so that the load of the machine affects all of them alike.

    Short work is repeated in its turn, as in a training loop: the threads of another program may still spin when the
    turn begins.

    Args:
        contenders: what to time.
        repeats: the number of rounds. A first round, which compiles and warms up, does not count.
        on_progress: called with a line before each turn.
    """
    rounds = []
    for number in range(repeats + 1):
        seconds = {}
        for task, contender in contenders.items():
            on_progress(f"round {number} of {repeats}, {task}" if number > 0 else f"warming up, {task}")
            seconds[task] = _turn(contender)
        rounds.append(seconds)
    return {task: Timing(tuple(seconds[task] for seconds in rounds[1:])) for task in contenders}


def _turn(contender: Contender) -> float:
    """The seconds of one run; for short work, the median of the runs after the first."""
    first = contender()
    if first >= TURN:
        return first
    spent = first
    seconds: list[float] = []
    while not seconds or (spent < TURN and len(seconds) < _MOST_IN_A_TURN):
        seconds.append(contender())
        spent += seconds[-1]
    return statistics.median(seconds)


def seconds_of(function: Callable[..., Any], *arguments: Any) -> float:
    """The seconds until all results of ``function`` are ready."""
    start = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - start
