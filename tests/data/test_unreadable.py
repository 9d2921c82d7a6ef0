"""Images that cannot be read."""

from __future__ import annotations

import re

import numpy as np
import pytest

from alexnet_jax.config import DataConfig
from alexnet_jax.data import unreadable
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.measure_statistics import measure_statistics
from alexnet_jax.data.pipeline import training_batches
from alexnet_jax.data.unreadable import ReplaceUnreadable, UnreadableImages, check_held_out, recheck
from alexnet_jax.errors import AlexNetError
from tests.data.tfds_files import FEATURES, SIZE, write_tfds

REASON = "cannot identify the format"


@pytest.fixture
def folder(photos):
    """16 training images, of which the 4th, the 12th and the last cannot be read."""
    root = photos(splits=("train", "test"))
    for name in ("cat/3.png", "dog/3.png", "dog/7.png"):
        (root / "train" / name).write_bytes(b"not an image")
    return root


def opened(folder):
    return open_dataset(DataConfig(dataset=str(folder), image_size=24))


def record(source, most=3):
    return UnreadableImages(source, most, "restore them")


def test_the_next_readable_image_takes_the_place(folder):
    source = opened(folder).train
    found = record(source)
    replaced = ReplaceUnreadable(source, found)
    for index, other in ((2, 2), (3, 4), (11, 12), (15, 0)):
        np.testing.assert_array_equal(replaced[index]["image"], source[other]["image"])
        assert replaced[index]["label"] == source[other]["label"]
    assert found.found() == dict.fromkeys(("cat/3.png", "dog/3.png", "dog/7.png"), REASON)


def test_batches_do_not_depend_on_threads_or_on_what_was_found_before(folder):
    source = opened(folder).train
    expected = training_batches(ReplaceUnreadable(source, record(source)), 8, seed=0, threads=1)
    batches = [next(expected) for _ in range(6)]
    for start, threads in ((0, 5), (3, 2)):
        resumed = training_batches(ReplaceUnreadable(source, record(source)), 8, seed=0, start=start, threads=threads)
        for batch in batches[start:]:
            other = next(resumed)
            np.testing.assert_array_equal(other["image"], batch["image"])
            np.testing.assert_array_equal(other["label"], batch["label"])


def test_more_than_the_limit_stop_with_their_names(folder):
    source = opened(folder).train
    replaced = ReplaceUnreadable(source, record(source, most=2))
    replaced[3], replaced[11]
    message = rf"^3 of 16 images cannot be read: cat/3\.png \({REASON}\), dog/3\.png .*, dog/7\.png .*; restore them$"
    for index in (15, 3):
        with pytest.raises(AlexNetError, match=message):
            replaced[index]


def test_statistics_leave_unreadable_images_out(folder):
    source = opened(folder).train
    found = record(source)
    measured = measure_statistics(source, True, found)
    assert len(found.found()) == 3
    for name in found.found():
        (folder / "train" / name).unlink()
    expected = measure_statistics(opened(folder).train, True)
    np.testing.assert_array_equal(measured.mean, expected.mean)
    np.testing.assert_array_equal(measured.colour_covariance, expected.colour_covariance)
    (folder / "train" / "dog" / "3.png").write_bytes(b"")
    with pytest.raises(AlexNetError, match=r"dog/3\.png: not a readable image"):
        measure_statistics(opened(folder).train, True)


def test_images_that_were_restored_no_longer_count(folder, photos):
    source = opened(folder).train
    (photos("intact") / "cat" / "0.png").replace(folder / "train" / "cat" / "3.png")
    found = record(source)
    recheck(source, ["cat/3.png", "dog/3.png", "gone.png"], found)
    assert found.found() == {"dog/3.png": REASON}


@pytest.mark.parametrize("splits", [("train", "test"), ("train", "test", "validation")])
def test_damaged_held_out_images_are_found_at_the_start(photos, splits, monkeypatch):
    root = photos(splits=splits)
    config = DataConfig(dataset=str(root), image_size=24, validation_split=splits[2] if len(splits) > 2 else None)
    check_held_out(open_dataset(config), "restore them")
    for index in range(4):
        (root / splits[-1] / "dog" / f"{index}.png").write_bytes(b"x")
    with pytest.raises(AlexNetError) as raised:
        check_held_out(open_dataset(config), "restore them")
    named = ", ".join(f"dog/{index}.png ({REASON})" for index in range(3))
    assert str(raised.value) == f"{root}: 4 of 16 {splits[-1]} images cannot be read: {named}, ...; restore them"
    monkeypatch.setattr(unreadable, "MOST_CHECKED", 1000)  # too large to be read before the first step
    check_held_out(open_dataset(config), "restore them")


def test_a_damaged_record_is_named(tmp_path):
    directory = write_tfds(tmp_path / "set", FEATURES["jpeg"])
    (file,) = directory.glob("*train*-00001-of-00002")
    content = bytearray(file.read_bytes())
    place = [match.start() for match in re.finditer(b"\xff\xd8\xff", content)][3]
    content[place : place + 8] = bytes(8)
    file.write_bytes(content)
    source = open_dataset(DataConfig(dataset=str(directory), image_size=SIZE)).train
    found = record(source, most=2)
    replaced = ReplaceUnreadable(source, found)
    labels = [int(replaced[index]["label"]) for index in range(20)]
    ((name, reason),) = found.found().items()
    damaged = int(name.removeprefix("train "))
    assert damaged >= 10
    assert labels == [*range(damaged), damaged + 1, *range(damaged + 1, 20)]
    with pytest.raises(AlexNetError) as raised:
        source[damaged]
    assert str(raised.value) == (
        f"{directory}: train {damaged}: not a readable image ({reason}); restore it, or prepare the data again"
    )
