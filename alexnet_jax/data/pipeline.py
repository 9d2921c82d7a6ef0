"""Batches of examples on the host, with Grain. The examples of a batch depend only on the seed and the step.

Several processes that train one net each read their rows of every batch. Together they read the batch of one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import grain
import numpy as np

from alexnet_jax.batch import INDEX
from alexnet_jax.data.source import Example, Source
from alexnet_jax.errors import UsageError
from alexnet_jax.resources import usable_cpus, usable_memory

MOST_BUFFERED = 2**30
"""The largest number of bytes of the batches that are read ahead."""
_MEMORY_FRACTION = 1 / 8
"""The largest fraction of the usable memory that they take."""
_READ_NOTHING_AHEAD = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)


def training_batches(
    source: Source,
    batch_size: int,
    seed: int,
    start: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    threads: int | None = None,
) -> Iterator[Example]:
    """An infinite sequence of shuffled training batches. Each epoch has a new order and drops an incomplete batch.

    Args:
        source: the training examples.
        batch_size: examples in a batch, over all processes.
        seed: the random seed of the order.
        start: the step of the first batch.
        process_index: the number of this process.
        process_count: the number of processes.
        threads: threads that read batches. None uses the usable CPUs. No result depends on it.

    Returns:
        Batches ``{"image": uint8 (rows, size, size, channels), "label": int32 (rows,)}``, where ``rows`` is
        ``batch_size / process_count``.

    Raises:
        UsageError: ``batch_size`` is not a multiple of ``process_count``.
    """
    rows = _rows_of(process_index, process_count, batch_size)
    batches = _shuffled(source, batch_size, seed).map(partial(_read, source, rows)).repeat()
    return iter(batches[start:].to_iter_dataset(read_options(source, rows, threads)))


def training_indices(source: Source, batch_size: int, seed: int, start: int = 0) -> Iterator[Example]:
    """The places in ``source`` of the examples of ``training_batches``, of one process. Reads no example.

    Args:
        source: as in ``training_batches``.
        batch_size: as in ``training_batches``.
        seed: as in ``training_batches``.
        start: as in ``training_batches``.

    Returns:
        Batches ``{"index": int32 (batch_size,)}``.
    """
    batches = _shuffled(source, batch_size, seed).repeat()[start:].to_iter_dataset(_READ_NOTHING_AHEAD)
    return ({INDEX: indices.astype(np.int32)} for indices in batches)


def evaluation_batches(
    source: Source, batch_size: int, process_index: int = 0, process_count: int = 1, start: int = 0
) -> Iterator[Example]:
    """Batches with every example once, in order. The last one is padded with examples of label -1.

    Arguments, batches and errors are those of ``training_batches``. Each process gets the same number of batches. The
    first is batch ``start``.
    """
    rows = _rows_of(process_index, process_count, batch_size)
    order = grain.MapDataset.range(len(source)).batch(batch_size, batch_fn=np.array)
    return iter(order.map(partial(_read, source, rows))[start:].to_iter_dataset(read_options(source, rows)))


def read_options(source: Source, rows: slice, threads: int | None = None) -> grain.ReadOptions:
    """How many batches are read ahead, and by how many threads.

    Each thread reads a batch. Two batches per thread are read ahead, or fewer if they would exceed ``MOST_BUFFERED`` or
    an eighth of the usable memory. Each thread also holds the image that it decodes.

    Args:
        source: the examples.
        rows: the rows of a batch that this process reads.
        threads: the largest number of threads; None for the usable CPUs.
    """
    batch_bytes = (rows.stop - rows.start) * source.example_bytes
    most = int(min(MOST_BUFFERED, _MEMORY_FRACTION * usable_memory())) // batch_bytes
    threads = threads or usable_cpus()
    buffered = max(1, min(2 * threads, most))
    return grain.ReadOptions(num_threads=min(threads, buffered), prefetch_buffer_size=buffered)


def _rows_of(process_index: int, process_count: int, batch_size: int) -> slice:
    rows, rest = divmod(batch_size, process_count)
    if rest:
        raise UsageError(f"batch_size is {batch_size}: use a multiple of the {process_count} processes")
    return slice(process_index * rows, (process_index + 1) * rows)


def _shuffled(source: Source, batch_size: int, seed: int) -> grain.MapDataset:
    """The indices of each batch of an epoch."""
    order = grain.MapDataset.range(len(source)).seed(seed).shuffle()
    return order.batch(batch_size, drop_remainder=True, batch_fn=np.array)


def _read(source: Source, rows: slice, indices: np.ndarray) -> Example:
    """The ``rows`` of the batch of ``indices``."""
    return source.read_batch(indices[rows], rows.stop - rows.start)
