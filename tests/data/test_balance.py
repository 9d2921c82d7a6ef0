"""Folders whose classes have one image, or very different numbers of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.errors import UsageError


@pytest.fixture
def folder(tmp_path):
    def make(counts):
        for number, count in enumerate(counts):
            place = tmp_path / f"class{number:03}"
            place.mkdir()
            for index in range(count):
                Image.fromarray(np.full((8, 8, 3), index, np.uint8)).save(place / f"{index}.png")
        return DataConfig(dataset=str(tmp_path), image_size=8, test_fraction=0.5)

    return make


@pytest.mark.parametrize("seed", range(5))
def test_each_class_keeps_an_image_to_train(folder, seed):
    config = folder([1, 1, 2, 10])
    data = open_dataset(DataConfig(config.dataset, image_size=8, test_fraction=0.5, split_seed=seed))
    labels = Counter(label for _, label in data.train.entries())
    assert set(labels) == {0, 1, 2, 3}
    assert len(data.train) + len(data.test) == 14
    assert {path for path, _ in data.train.entries()}.isdisjoint(path for path, _ in data.test.entries())


def test_a_note_says_what_was_found(folder):
    (note,) = open_dataset(folder([1, 1, 30])).notes
    assert "the classes have 1 (class" in note
    assert note.endswith("images to train, and 2 of 3 classes have one (class000, class001)")


def test_balanced_classes_get_no_note(folder):
    config = folder([20] * 9)
    assert open_dataset(DataConfig(config.dataset, image_size=8, test_fraction=0.1)).notes == ()


def test_one_image_in_each_class_is_an_error_in_one_line(folder):
    with pytest.raises(
        UsageError, match="test_fraction: nothing can be held out, because each class has one image: add"
    ):
        open_dataset(folder([1] * 4))
