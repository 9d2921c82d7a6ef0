"""Folders of photos."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.hints import command


def config_for(folder, **changes):
    return dataclasses.replace(DataConfig(dataset=str(folder)), **changes)


def labels_of(source):
    return [int(source[index]["label"]) for index in range(len(source))]


def test_folder_with_train_and_test(photos):
    data = open_dataset(config_for(photos(splits=("train", "test"))))
    assert (len(data.train), len(data.test), data.validation) == (16, 16, None)
    assert data.class_names == ("cat", "dog")
    assert labels_of(data.train) == [0] * 8 + [1] * 8
    assert data.train.name(8) == "dog/0.png"
    assert data.notes == ()


def test_folder_with_a_validation_folder(photos):
    data = open_dataset(config_for(photos(splits=("train", "test", "extra")), validation_split="extra"))
    assert data.validation.name(0) == "cat/0.png"
    assert len(data.validation) == 16


def test_folder_without_splits_is_split_by_the_seed(photos):
    folder = photos(per_class=10)
    parts = [open_dataset(config_for(folder, test_fraction=0.25, split_seed=seed)) for seed in (0, 0, 1)]
    assert [(len(part.train), len(part.test)) for part in parts] == [(15, 5)] * 3
    indices = [part.test.indices.tolist() for part in parts]
    assert indices[0] == indices[1] != indices[2]
    assert sorted(indices[0] + parts[0].train.indices.tolist()) == list(range(20))


def test_ignored_files_and_empty_classes_are_counted_and_named_in_one_note(photos):
    folder = photos()
    for name in ("bird", "fish"):
        (folder / name / "deep").mkdir(parents=True)
    for index in range(4):
        (folder / "cat" / f"{index}.heic").touch()
    (folder / "cat" / ".DS_Store").touch()
    data = open_dataset(config_for(folder))
    assert data.notes == (
        f"{folder}: 4 file(s) ignored (cat/0.heic, cat/1.heic, cat/2.heic, ...); convert them to .jpeg, .jpg, .png, "
        ".webp, and 2 class folder(s) without images (bird, fish); add some, or remove them",
    )
    assert len(data.class_names) == 4
    for index in range(1, 4):
        (folder / "cat" / f"{index}.heic").unlink()
    for name in ("bird", "fish"):
        shutil.rmtree(folder / name)
    (note,) = open_dataset(config_for(folder)).notes
    assert note == (
        f"{folder}: 1 file(s) ignored (cat/0.heic); convert them to .jpeg, .jpg, .png, .webp, or remove them"
    )


def test_damaged_image_is_named_with_the_command_that_leaves_it_out(photos):
    folder = photos(splits=("train", "test"))
    damaged = folder / "train" / "dog" / "3.png"
    damaged.write_bytes(b"not an image")
    train = open_dataset(config_for(folder)).train
    prepare = command("prepare", "folder", "--source", folder, "--data_dir", "data")
    with pytest.raises(AlexNetError) as raised:
        train[11]
    assert str(raised.value) == (
        f"{damaged}: not a readable image (cannot identify the format); restore it, or leave all damaged "
        f"images out with `{prepare}`"
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder / "train" / "dog"), "has 1 class folder"),
        (lambda folder: shutil.rmtree(folder / "test"), "has train/ but no test/; add it, pass --data.test_split"),
        (lambda folder: (folder / "test" / "bird").mkdir(), "has a class 'bird'"),
        (lambda folder: [file.unlink() for file in folder.glob("train/*/*")], "its class folders have no images"),
    ],
)
def test_unusable_folder_is_refused(photos, damage, message):
    folder = photos(splits=("train", "test"))
    damage(folder)
    with pytest.raises(AlexNetError, match=message):
        open_dataset(config_for(folder))


def test_validation_split_needs_split_folders(photos):
    with pytest.raises(UsageError, match="has no train/ beside it"):
        open_dataset(config_for(photos(), validation_split="validation"))


def test_missing_folder_is_refused():
    with pytest.raises(UsageError, match="'/no/such/place': no such folder; name a folder of class folders"):
        open_dataset(config_for("/no/such/place"))


def test_validation_fraction_is_held_out_of_training(photos):
    data = open_dataset(config_for(photos(per_class=20), validation_fraction=0.25))
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 9, 4)
    assert not set(data.train.indices) & set(data.validation.indices)


def test_holding_out_everything_is_refused(photos):
    with pytest.raises(UsageError, match=r"a fraction of 0.99 is all of the 36 images: hold out less, or add images"):
        open_dataset(config_for(photos(per_class=20), validation_fraction=0.99))


def test_images_have_the_requested_channels(photos):
    data = open_dataset(config_for(photos(), image_size=20), channels=1)
    assert data.train.image_shape == (20, 20, 1)
    assert data.train[0]["image"].shape == (20, 20, 1)
    assert data.train[0]["image"].dtype == np.uint8
