"""The input pipeline of this package, and TFDS with Grain, as pipelines to measure."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grain

from alexnet_jax.bench.throughput import Pipeline, Throughput
from alexnet_jax.data.pipeline import training_batches
from alexnet_jax.data.source import Source
from alexnet_jax.data.tfds_source import TfdsSource
from alexnet_jax.resources import usable_cpus


def own_pipelines(source: Source, stored: str, batch_size: int, seconds: float) -> list[Pipeline]:
    """The pipelines that read ``source``, each with one thread and with one per core.

    They are this package's and, for a TFDS data set, TFDS's data source with Grain's batches.

    Args:
        source: the training set.
        stored: how its images are stored, for the table.
        batch_size: images in a batch.
        seconds: the seconds to measure each.
    """
    batches: dict[str, Callable[[int], Iterator[Any]]] = {
        "alexnet_jax": lambda threads: training_batches(source, batch_size, seed=0, threads=threads)
    }
    if isinstance(source, TfdsSource):
        batches["TFDS and Grain"] = lambda threads: _tfds_batches(source, batch_size, threads)
    return [
        Pipeline(name, stored, threads, partial(_throughput, open_batches, threads, seconds))
        for name, open_batches in batches.items()
        for threads in sorted({1, usable_cpus()})
    ]


def _tfds_batches(source: TfdsSource, batch_size: int, threads: int) -> Iterator[Any]:
    import tensorflow_datasets as tfds  # slow to import

    records = tfds.builder_from_directory(source.where).as_data_source(source.split)
    batches = grain.MapDataset.source(records).seed(0).shuffle().batch(batch_size, drop_remainder=True).repeat()
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)))


def _throughput(open_batches: Callable[[int], Iterator[Any]], threads: int, seconds: float) -> Throughput:
    """Measures after one pass through the prefetch buffers, which hold two batches per thread."""
    batches = open_batches(threads)
    for _ in range(2 * threads + 1):
        next(batches)
    images, start, cpu_start = 0, time.perf_counter(), _cpu_seconds()
    while time.perf_counter() < start + seconds:
        images += len(next(batches)["label"])
    return Throughput(images / (time.perf_counter() - start), images / (_cpu_seconds() - cpu_start))


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
