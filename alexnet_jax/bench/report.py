"""The results of a benchmark, and derived numbers."""

from __future__ import annotations

import dataclasses
import statistics
from dataclasses import dataclass
from typing import Any

from alexnet_jax.bench.net import WORKS
from alexnet_jax.bench.timing import Task, Timing

OURS = "alexnet_jax"


@dataclass(frozen=True)
class Report:
    """The results of a benchmark.

    Attributes:
        machine: as ``describe_machine`` returns it.
        batch_size: images in a batch.
        dtype: the type of activations and products.
        devices: the number of devices.
        compile_seconds: the seconds to compile the training step, ``cold`` and ``cached``.
        peers: versions and threads of each peer.
        timings: the times of each task.
    """

    machine: dict[str, Any]
    batch_size: int
    dtype: str
    devices: int
    compile_seconds: dict[str, float]
    peers: dict[str, str]
    timings: dict[Task, Timing]

    @property
    def peak(self) -> float:
        """Floating-point operations per second of the fastest run of the fastest matrix product, on one device."""
        return max(task.flops / timing.low for task, timing in self.timings.items() if task.program == "matmul")

    def fastest(self, program: str, work: str) -> Task | None:
        """The fastest form in which ``program`` does ``work``, or None if it was not timed."""
        tasks = [task for task in self.timings if (task.program, task.work) == (program, work)]
        return min(tasks, key=self.ratio, default=None)

    def ratio(self, task: Task) -> float:
        """The speed of this project in the same work, relative to ``task``.

        The median of the ratios of each round. On a busy machine it varies less than the ratio of the medians, because
        the two runs of a round are close in time.
        """
        ours = next(own for own in self.timings if (own.program, own.work) == (OURS, task.work))
        rounds = zip(self.timings[task].seconds, self.timings[ours].seconds, strict=True)
        return statistics.median(theirs / mine for theirs, mine in rounds)

    def numbers(self, task: Task) -> dict[str, float]:
        """Median and range in milliseconds, images per second, GFLOP/s and the fraction of the peak."""
        timing = self.timings[task]
        return {
            "milliseconds": 1000 * timing.median,
            "low": 1000 * timing.low,
            "high": 1000 * timing.high,
            "images_per_second": self.batch_size / timing.median,
            "gflops_per_second": task.flops / timing.median / 1e9,
            "fraction_of_peak": task.flops / timing.median / self.peak,
        }

    def as_json(self) -> dict[str, Any]:
        """The whole report as values for JSON."""
        return {
            "machine": self.machine,
            "batch_size": self.batch_size,
            "devices": self.devices,
            "dtype": self.dtype,
            "compile_seconds": self.compile_seconds,
            "peak_gflops_per_second": self.peak / 1e9,
            "peers": self.peers,
            "ratios": {peer: self._ratios(peer) for peer in self.peers},
            "timings": [
                dataclasses.asdict(task) | {"seconds": timing.seconds} | self.numbers(task)
                for task, timing in self.timings.items()
            ],
        }

    def _ratios(self, peer: str) -> dict[str, float]:
        fastest = {work: self.fastest(peer, work) for work in WORKS}
        return {work: self.ratio(task) for work, task in fastest.items() if task is not None}
