"""Examples to batches on the host, through Grain. Which examples a batch holds follows from (seed, step) alone."""

from __future__ import annotations

from collections.abc import Iterator

import grain
import numpy as np

from alexnet_jax.data.sources import Example, Source
from alexnet_jax.metrics import PADDING_LABEL

_READ = grain.ReadOptions(num_threads=4, prefetch_buffer_size=256)


def training_batches(source: Source, batch_size: int, seed: int, start: int = 0) -> Iterator[Example]:
    """Batches without end, from step ``start`` on: each epoch is a new permutation, of which only whole batches count.

    A batch is ``{"image": uint8 (batch_size, size, size, channels), "label": int32 (batch_size,)}``.
    """
    examples = grain.MapDataset.source(source).seed(seed).shuffle()
    batches = examples.batch(batch_size, drop_remainder=True).repeat()
    return iter(batches[start:].to_iter_dataset(_READ))


def evaluation_batches(source: Source, batch_size: int) -> Iterator[Example]:
    """Batches that hold every example once, in order; the last is filled up with examples labelled -1."""
    for batch in grain.MapDataset.source(source).batch(batch_size).to_iter_dataset(_READ):
        missing = batch_size - len(batch["label"])
        yield {
            "image": np.pad(batch["image"], [(0, missing), (0, 0), (0, 0), (0, 0)]),
            "label": np.pad(batch["label"], (0, missing), constant_values=PADDING_LABEL),
        }
