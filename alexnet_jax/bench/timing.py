"""Times that can be compared: whoever is compared runs in turn, in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

Contender = Callable[[], float]
"""Does its work once and says how many seconds that took."""


@dataclass(frozen=True)
class Task:
    """What a contender does."""

    by: str
    """Who does it: this project, a peer, or ``layer`` and ``product`` for parts of a net and for matrix products."""
    form: str
    """In which way a peer does it; which layer or which sizes."""
    work: str
    """``forward``, ``gradient`` (forward and backward) or ``train`` (a whole training step)."""
    flops: int
    """Floating-point operations of its products: an addition and a multiplication for each MAC."""

    def __str__(self) -> str:
        return f"{self.work}: {self.by} {self.form}".rstrip()


@dataclass(frozen=True)
class Timing:
    """What several goes took, in seconds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of all goes."""
        return statistics.median(self.seconds)

    @property
    def low(self) -> float:
        """The fastest go."""
        return min(self.seconds)

    @property
    def high(self) -> float:
        """The slowest go."""
        return max(self.seconds)


def alternate(
    contenders: Mapping[Task, Contender], repeats: int, doing: Callable[[str], None] = lambda text: None
) -> dict[Task, Timing]:
    """The times of ``contenders``, one go of each in a round, so that what else the machine does meets all alike.

    A first round compiles and warms up and does not count. ``doing`` is told what comes next.
    """
    rounds = []
    for number in range(repeats + 1):
        goes = {}
        for task, contender in contenders.items():
            doing(f"round {number} of {repeats}, {task}" if number else f"warming up, {task}")
            goes[task] = contender()
        rounds.append(goes)
    return {task: Timing(tuple(goes[task] for goes in rounds[1:])) for task in contenders}


def seconds_of(function: Callable[..., Any], *arguments: Any) -> float:
    """Seconds until everything that ``function`` gives is there."""
    began = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began
