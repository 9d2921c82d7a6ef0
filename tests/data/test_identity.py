"""Identities of data sets, and how they differ."""

from __future__ import annotations

import os
import re
import shutil

import pytest

from alexnet_jax.config import DataConfig
from alexnet_jax.data import identity
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.identity import Identity, describe_data_change, identify
from alexnet_jax.data.tfds_source import PACKAGED


def identity_of(folder, **options):
    return identify(open_dataset(DataConfig(dataset=str(folder), **options)))


def add(folder, *names):
    for name in names:
        shutil.copy(next(folder.rglob("*.png")), folder / name)


def test_a_moved_folder_is_the_same_data_and_json_keeps_an_identity(photos, tmp_path):
    folder = photos(splits=("train", "test"))
    before = identity_of(folder)
    assert before.splits["train"].files[:2] == ("train/cat/0.png", "train/cat/1.png")
    assert Identity.from_json(before.to_json()) == before
    folder.rename(tmp_path / "moved")
    assert describe_data_change(before, identity_of(tmp_path / "moved")) is None
    with pytest.raises(ValueError, match="not the JSON of a data set's identity"):
        Identity.from_json('{"classes": 1}')


@pytest.mark.parametrize(
    ("change", "description"),
    [
        (lambda root: add(root, "train/cat/x.png"), "1 image added (train/cat/x.png)"),
        (
            lambda root: add(root, *(f"test/dog/{name}.png" for name in "wxyz")),
            "4 images added (test/dog/w.png, test/dog/x.png, test/dog/y.png, ...)",
        ),
        (lambda root: (root / "train/cat/3.png").unlink(), "1 image removed (train/cat/3.png)"),
        (
            lambda root: (root / "train/cat/3.png").rename(root / "train/dog/x.png"),
            "1 image removed (train/cat/3.png); 1 image added (train/dog/x.png)",
        ),
        (
            lambda root: [(root / split / "dog").rename(root / split / "ant") for split in ("train", "test")],
            "class 0 was 'cat' and is now 'ant'; class 1 was 'dog' and is now 'cat'",
        ),
        (lambda root: (root / "train/eel").mkdir(), "1 class added (eel)"),
    ],
)
def test_changes_of_a_folder_are_named(photos, change, description):
    folder = photos(splits=("train", "test"))
    before = identity_of(folder)
    change(folder)
    assert describe_data_change(before, identity_of(folder)) == description


def test_training_images_that_become_test_images_are_counted(photos):
    folder = photos(per_class=10)
    before = identity_of(folder, test_fraction=0.25)
    add(folder, "cat/new.png")
    after = identity_of(folder, test_fraction=0.25)
    exposed = set(before.splits["train"].files) & set(after.splits["test"].files)
    assert len(exposed) > 1
    assert describe_data_change(before, after).startswith(
        f"1 image added (cat/new.png); {len(exposed)} training images moved to the test images ("
    )


def test_large_folders_keep_digests_by_class(photos, monkeypatch):
    monkeypatch.setattr(identity, "MOST_FILES", 10)
    folder = photos(splits=("train", "test"))
    before = identity_of(folder)
    assert before.splits["train"].files == ()
    add(folder, "train/cat/x.png")
    (folder / "train/dog/3.png").rename(folder / "train/dog/y.png")
    assert describe_data_change(before, identity_of(folder)) == (
        "train images of 2 classes ('cat' had 8 and has 9, 'dog' has others)"
    )


def test_a_prepared_data_set_is_identified_by_its_files(tmp_path, monkeypatch):
    shutil.copytree(PACKAGED / "cifar10_sample" / "1.0.0", tmp_path / "1.0.0")
    before, packaged = identity_of(tmp_path / "1.0.0"), identity_of("cifar10_sample")
    assert before == packaged
    parts = [identity_of(tmp_path / "1.0.0", validation_fraction=0.1, split_seed=seed) for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]
    assert describe_data_change(before, identity_of(tmp_path / "1.0.0", train_split="train[:4000]")).startswith(
        "train was cifar10_sample/1.0.0 train: 5,000 records in files of "
    )
    monkeypatch.setattr(os.path, "getsize", lambda path: 1000)
    assert re.fullmatch(
        r"train was cifar10_sample/1\.0\.0 train: 5,000 records in files of [\d,]+ bytes \(layout \w{16}\) and is "
        r"now cifar10_sample/1\.0\.0 train: 5,000 records in files of 1,000 bytes \(layout \w{16}\); test was .+",
        describe_data_change(before, identity_of(tmp_path / "1.0.0")),
    )
