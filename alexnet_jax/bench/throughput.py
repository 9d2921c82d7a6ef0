"""Images per second of several input pipelines, measured alternately."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from alexnet_jax.errors import AlexNetError


@dataclass(frozen=True)
class Throughput:
    """The speed of an input pipeline.

    Attributes:
        images_per_second: images over elapsed time.
        images_per_cpu_second: images over the CPU time of all cores, which depends little on other programs.
    """

    images_per_second: float
    images_per_cpu_second: float


@dataclass(frozen=True)
class Pipeline:
    """An input pipeline to measure.

    Attributes:
        name: the program that it belongs to.
        stored: how the images are stored, such as ``jpeg``.
        threads: the number of threads or processes that it reads with.
        run: measures it once. It raises AlexNetError if it fails.
    """

    name: str
    stored: str
    threads: int
    run: Callable[[], Throughput]


@dataclass(frozen=True)
class Measurement:
    """The throughput of a pipeline, or its error.

    Attributes:
        pipeline: the program that was measured.
        stored: as in ``Pipeline``.
        threads: as in ``Pipeline``.
        throughput: the median of the rounds, or None if a round failed.
        error: the message of the first failure, or an empty string.
    """

    pipeline: str
    stored: str
    threads: int
    throughput: Throughput | None
    error: str = ""


def measure_alternately(pipelines: list[Pipeline], rounds: int) -> list[Measurement]:
    """Measures each pipeline once per round, so that the load of the machine affects all of them alike."""
    throughputs: list[list[Throughput]] = [[] for _ in pipelines]
    errors = ["" for _ in pipelines]
    for _ in range(rounds):
        for index, pipeline in enumerate(pipelines):
            if errors[index]:
                continue
            try:
                throughputs[index].append(pipeline.run())
            except AlexNetError as error:
                errors[index] = str(error)
    return [
        Measurement(pipeline.name, pipeline.stored, pipeline.threads, None if error else _median(measured), error)
        for pipeline, measured, error in zip(pipelines, throughputs, errors, strict=True)
    ]


def _median(throughputs: list[Throughput]) -> Throughput:
    return Throughput(
        statistics.median(throughput.images_per_second for throughput in throughputs),
        statistics.median(throughput.images_per_cpu_second for throughput in throughputs),
    )
