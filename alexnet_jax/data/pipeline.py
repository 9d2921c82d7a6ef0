"""Examples to batches on the host, through Grain. Which examples a batch holds follows from (seed, step) alone.

Several processes that train one net each get their rows of every batch; the batch as a whole is that of one process.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial

import grain
import numpy as np

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.data.source import Example, Source
from alexnet_jax.errors import UsageError

THREADS = os.cpu_count() or 1


def training_batches(
    source: Source,
    batch_size: int,
    seed: int,
    start: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    threads: int = THREADS,
) -> Iterator[Example]:
    """Batches without end, from step ``start`` on: each epoch is a new permutation, of which only whole batches count.

    A batch is ``{"image": uint8 (rows, size, size, channels), "label": int32 (rows,)}``, where ``rows`` is
    ``batch_size / process_count``. Raises UsageError where that is no whole number.
    """
    rows = _rows_of(process_index, process_count, batch_size)
    order = grain.MapDataset.range(len(source)).seed(seed).shuffle()
    batches = order.batch(batch_size, drop_remainder=True, batch_fn=np.array).map(partial(_read, source, rows)).repeat()
    return iter(batches[start:].to_iter_dataset(_on_threads(threads)))


def evaluation_batches(
    source: Source, batch_size: int, process_index: int = 0, process_count: int = 1
) -> Iterator[Example]:
    """Batches that hold every example once, in order; the last is filled up with examples labelled -1.

    Rows and errors are as in ``training_batches``, and each process gets the same number of batches.
    """
    rows = _rows_of(process_index, process_count, batch_size)
    order = grain.MapDataset.range(len(source)).batch(batch_size, batch_fn=np.array)
    return iter(order.map(partial(_read, source, rows)).to_iter_dataset(_on_threads(THREADS)))


def _on_threads(threads: int) -> grain.ReadOptions:
    """Each thread reads a batch of its own; as many again wait, and not more: 128 images of 256 pixels are 25 MB."""
    return grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)


def _rows_of(process_index: int, process_count: int, batch_size: int) -> slice:
    rows, rest = divmod(batch_size, process_count)
    if rest:
        raise UsageError(f"batch_size is {batch_size}: use a multiple of the {process_count} processes")
    return slice(process_index * rows, (process_index + 1) * rows)


def _read(source: Source, rows: slice, indices: np.ndarray) -> Example:
    """The ``rows`` of the batch of ``indices``, filled in place, so that each image is copied once while in cache."""
    count = rows.stop - rows.start
    images, labels = np.empty((count, *source.image_shape), np.uint8), np.full(count, PADDING_LABEL, np.int32)
    mine = indices[rows]
    for row, index in enumerate(mine):
        example = source[int(index)]
        images[row], labels[row] = example["image"], example["label"]
    images[len(mine) :] = 0
    return {"image": images, "label": labels}
