"""Decoded images that stay in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alexnet_jax.data import remembered
from alexnet_jax.data.images import UnreadableImageError
from alexnet_jax.data.remembered import Remembered, remember
from alexnet_jax.data.source import DataSet
from tests.helpers.sources import Examples

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)


class Counted(Examples):
    """Counts how often each example is read, and fails to read the one at ``damaged``."""

    def __init__(self):
        super().__init__([{"image": image, "label": np.int32(index)} for index, image in enumerate(IMAGES)])
        self.reads, self.damaged = [], None

    def __getitem__(self, index):
        self.reads.append(index)
        if index == self.damaged:
            raise UnreadableImageError(str(index), "is damaged", "restore it")
        return super().__getitem__(index)


def test_each_example_is_read_once():
    source = Counted()
    kept = Remembered(source)
    for _ in range(2):
        batch = kept.read_batch(np.array([4, 1]), 3)
        np.testing.assert_array_equal(batch["image"], [IMAGES[4], IMAGES[1], np.zeros_like(IMAGES[0])])
        np.testing.assert_array_equal(batch["label"], [4, 1, -1])
    assert source.reads == [4, 1]


def test_an_example_that_cannot_be_read_is_tried_again():
    source = Counted()
    kept, source.damaged = Remembered(source), 2
    with pytest.raises(UnreadableImageError):
        kept[2]
    source.damaged = None
    np.testing.assert_array_equal(kept[2]["image"], IMAGES[2])


@pytest.mark.parametrize("validation", [None, Counted()])
def test_a_data_set_above_the_budget_is_left_as_it_is(monkeypatch, validation):
    data = DataSet(Counted(), Counted(), validation, ("a",), Path())
    size = (2 if validation is None else 3) * IMAGES.nbytes
    monkeypatch.setattr(remembered, "MOST_REMEMBERED", size)
    kept = remember(data)
    assert isinstance(kept.train, Remembered)
    assert isinstance(kept.test, Remembered)
    assert (kept.validation is None) == (validation is None)
    monkeypatch.setattr(remembered, "MOST_REMEMBERED", size - 1)
    assert remember(data) is data
    monkeypatch.setattr(remembered, "MOST_REMEMBERED", size)
    monkeypatch.setattr(remembered, "usable_memory", lambda: 8 * size - 8)
    assert remember(data) is data
