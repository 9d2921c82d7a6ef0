"""Goodput: the part of a run's time that it spent in steps that were kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from alexnet_jax.training.runs.metrics_file import Row, seconds_in_steps


@dataclass(frozen=True)
class Start:
    """A process that began to work on a run.

    Attributes:
        time: when it began, in seconds since 1970.
        last_seen: when the previous process wrote its last row of metrics, or when it began if it wrote none. For the
            first process, ``time``.
    """

    time: float
    last_seen: float


@dataclass(frozen=True)
class Goodput:
    """The time of a run, from its first start.

    Attributes:
        in_steps: seconds in steps that were kept. A step is not kept if it was skipped, or if the run resumed from a
            checkpoint before it.
        running: seconds in which a process worked on the run. Start, compilation, evaluations, checkpoints and steps
            that were not kept are part of it.
        down: seconds between the processes.
        starts: the number of processes.
    """

    in_steps: float
    running: float
    down: float
    starts: int

    def __str__(self) -> str:
        text = f"{self.in_steps / self.running:.1%} of {_time(self.running)} in steps that were kept"
        if self.starts == 1:
            return text
        with_pauses = f"{self.in_steps / (self.running + self.down):.1%} with the {_time(self.down)} between them"
        return f"{text}, {self.starts} starts; {with_pauses}"


def next_start(starts: Sequence[Start], rows: Sequence[Row], now: float) -> Start:
    """The start of a process.

    Args:
        starts: those before it.
        rows: the rows of metrics, with those of steps that will be repeated.
        now: when it began, in seconds since 1970.
    """
    if not starts:
        return Start(now, now)
    seen = [starts[-1].time, *map(_written_at, rows)]
    return Start(now, min(now, max(seen)))


def goodput(starts: Sequence[Start], rows: Sequence[Row], batch_size: int, now: float) -> Goodput | None:
    """The time of a run until ``now``. None if it is not known when the run started, or the starts are damaged.

    Args:
        starts: all starts of the run.
        rows: its rows of metrics.
        batch_size: images in a training step.
        now: seconds since 1970.
    """
    if not starts or not all(0 <= start.last_seen <= start.time < now for start in starts):
        return None
    known = [row for row in rows if _written_at(row) >= starts[0].time]  # earlier versions recorded no times
    down = sum(start.time - start.last_seen for start in starts)
    in_steps = sum(seconds_in_steps(row, batch_size) for row in known)
    return Goodput(in_steps, now - starts[0].time - down, down, len(starts))


def _written_at(row: Row) -> float:
    time = row.get("time")
    return float(time) if isinstance(time, int | float) else 0.0


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
