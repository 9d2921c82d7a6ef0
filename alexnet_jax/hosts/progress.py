"""The last progress report of each process, and which process blocks the others."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass

SILENT_FOR = 20.0
"""Seconds without a report after which a process counts as dead. Each process reports every second."""
SHORTEST_LIMIT = 30.0
"""The smallest limit of an activity in seconds."""
FIRST_LIMIT = 3600.0
"""The limit of an activity that has not been measured, in seconds: it may compile, or read a large checkpoint."""
_TIMES_AS_LONG = 10  # as the longest one before
_MEASURED = 3  # times, after which the limit is that of the measured ones


@dataclass(frozen=True)
class Progress:
    """What a process tells the others.

    Attributes:
        host: the name of its host.
        step: the number of steps taken.
        activity: what it does, such as "reads images".
        count: the number of activities so far. All processes do the same ones, so the slowest has the smallest count.
        told: the number of reports so far.
    """

    host: str
    step: int
    activity: str
    count: int
    told: int

    def to_json(self) -> str:
        """The progress as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Progress:
        """The progress in JSON that ``to_json`` wrote."""
        return cls(**json.loads(text))


class Durations:
    """How long each activity took, and how long it may take.

    Args:
        limit: the most seconds for an activity, once it has been measured three times. None for ten times the longest
            time so far, and at least ``SHORTEST_LIMIT``.
    """

    def __init__(self, limit: float | None) -> None:
        self._limit = limit
        self._longest: defaultdict[str, float] = defaultdict(float)
        self._times: Counter[str] = Counter()

    def add(self, activity: str, seconds: float) -> None:
        """Adds a measured time."""
        self._longest[activity] = max(self._longest[activity], seconds)
        self._times[activity] += 1

    def limit(self, activity: str) -> float:
        """The seconds that the activity may take."""
        if self._times[activity] < _MEASURED:
            return FIRST_LIMIT
        return self._limit or max(SHORTEST_LIMIT, _TIMES_AS_LONG * self._longest[activity])


def silent_process(last_told: Mapping[int, tuple[Progress, float]], now: float) -> str | None:
    """A description of the first process without a report for ``SILENT_FOR`` seconds, or None.

    Args:
        last_told: the last report of each process, and when it arrived.
        now: the time, from the same clock.
    """
    for index, (progress, at) in sorted(last_told.items()):
        if now - at > SILENT_FOR:
            return (
                f"process {index} on {progress.host} has not answered for {now - at:.0f} seconds: it or its host was "
                f"stopped, or it has no network; its last step was {progress.step:,}"
            )
    return None


def slowest_process(last_told: Mapping[int, Progress], seconds: float) -> str:
    """A description of the process that the others wait for.

    Args:
        last_told: the last report of each process.
        seconds: the seconds since any process last made progress.
    """
    least = min(progress.count for progress in last_told.values())
    index, progress = next((index, told) for index, told in sorted(last_told.items()) if told.count == least)
    if all(told.count == least for told in last_told.values()):
        return (
            f"no process has made progress for {seconds:.0f} seconds: each {progress.activity} after step "
            f"{progress.step:,}"
        )
    return (
        f"process {index} on {progress.host} is stuck: for {seconds:.0f} seconds it {progress.activity} after step "
        f"{progress.step:,}, and the others wait for it"
    )
