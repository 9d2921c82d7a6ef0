"""Decoded images that stay in the memory of the host, where they are few enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alexnet_jax.data.source import DataSet, Example, Source, Wrapper
from alexnet_jax.resources import usable_memory

MOST_REMEMBERED = 2**30
"""The largest number of bytes of the decoded images of a data set that are kept."""
MEMORY_FRACTION = 1 / 8
"""The largest fraction of the memory that they take: that of the host, and that of a device that holds them."""


class Remembered(Wrapper):
    """The examples of ``source``, each read once. Several threads may read them.

    An example that cannot be read is tried again each time.

    Args:
        source: the examples.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self._images = np.empty((len(source), *source.image_shape), np.uint8)
        self._labels = np.empty(len(source), np.int32)
        self._is_read = np.zeros(len(source), bool)

    def __getitem__(self, index: int) -> Example:
        if not self._is_read[index]:  # two threads may both read it, and write the same
            example = self.source[index]
            self._images[index], self._labels[index] = example["image"], example["label"]
            self._is_read[index] = True
        return {"image": self._images[index], "label": self._labels[index]}

    def entries(self) -> list[tuple[str, int]] | None:
        """As in ``source``."""
        return self.source.entries()

    def __repr__(self) -> str:
        return f"Remembered({self.source!r})"


def remember(data: DataSet) -> DataSet:
    """``data`` with its decoded images kept in memory, or unchanged if they exceed the budget.

    The budget is ``MOST_REMEMBERED`` or ``MEMORY_FRACTION`` of the usable memory, whichever is less.
    """
    splits = (data.train, data.test) if data.validation is None else (data.train, data.test, data.validation)
    if sum(len(split) * split.example_bytes for split in splits) > min(
        MOST_REMEMBERED, MEMORY_FRACTION * usable_memory()
    ):
        return data
    validation = None if data.validation is None else Remembered(data.validation)
    return replace(data, train=Remembered(data.train), test=Remembered(data.test), validation=validation)
