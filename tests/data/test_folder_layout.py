"""The layouts of folders of photos."""

from __future__ import annotations

import pytest

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.errors import AlexNetError


def make(root, *files):
    """Empty files, because opening a data set reads none."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    return root


def opened(root, **options):
    return open_dataset(DataConfig(dataset=str(root), **options))


PAIR = [f"{kind}/{index}.png" for kind in ("cat", "dog") for index in range(3)]
UNDER = {
    split: [f"{split}/{file}" for file in PAIR] for split in ("train", "test", "Training", "Testing", "Train", "TEST")
}
UNDER |= {split: [f"{split}/{file}" for file in PAIR] for split in ("val", "valid", "Validation")}


def names(source):
    return [source.name(index) for index in range(len(source))]


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "Testing"), ("Train", "TEST")])
def test_usual_names_of_splits_are_found(tmp_path, train, test):
    data = opened(make(tmp_path, *UNDER[train], *UNDER[test]))
    assert data.class_names == ("cat", "dog")
    assert (data.train.folder, data.test.folder) == (tmp_path / train, tmp_path / test)
    assert data.notes == ()


@pytest.mark.parametrize("folder", ["val", "valid", "Validation"])
def test_a_validation_folder_is_used_on_request_and_named_otherwise(tmp_path, folder):
    root = make(tmp_path, *UNDER["train"], *UNDER["test"], *UNDER[folder])
    assert opened(root).notes == (
        f"{root}: {folder}/ is not used; train with --data.validation_split {folder} to validate on it",
    )
    assert opened(root).validation is None
    for asked in ("val", "validation", folder):
        data = opened(root, validation_split=asked)
        assert (data.validation.folder, data.notes) == (root / folder, ())


def test_a_class_may_be_called_train_or_test(tmp_path):
    for name in ("train", "valid"):
        data = opened(make(tmp_path / name, f"{name}/0.png", f"{name}/1.png", *PAIR), test_fraction=0.2)
        assert set(data.class_names) == {"cat", "dog", name}
    nested = make(tmp_path / "nested", "train/0.png", "train/steam/1.png", *PAIR)
    assert opened(nested).class_names == ("cat", "dog", "train")


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        (
            UNDER["train"],
            {},
            "has train/ but no test/; add it, pass --data.test_split, or rename train/ if it is a class",
        ),
        (UNDER["train"] + UNDER["val"], {}, "has train/ but no test/; add it, pass --data.test_split val, or rename"),
        (
            ["train/0.png", "test/0.png"],
            {},
            "train: has no class folders; sort its images into one for each class",
        ),
        (["Training/0.png", "Testing/0.png", *PAIR], {}, "Training: has no class folders"),
        (
            [*PAIR, *UNDER["test"]],
            {},
            "test/ holds folders, like a split; put the training images into train/, or rename",
        ),
        ([*UNDER["Train"], *UNDER["Training"], *UNDER["test"]], {}, "has Train/ and Training/; rename all but one"),
        ([*UNDER["train"], *UNDER["test"]], {"train_split": "learn"}, "data.train_split is 'learn': .* no such folder"),
        (
            UNDER["train"] + UNDER["test"],
            {"test_split": "validation"},
            "no validation/; add it, pass --data.test_split test, or",
        ),
        (
            [*UNDER["train"], *UNDER["test"]],
            {"validation_split": "x"},
            "data.validation_split is 'x': .* no such folder",
        ),
        (PAIR, {"validation_split": "val"}, "has no train/ beside it"),
    ],
)
def test_layouts_that_may_mean_two_things_are_refused(tmp_path, files, options, message):
    with pytest.raises(AlexNetError, match=message):
        opened(make(tmp_path, *files), **options)


def test_the_test_split_of_a_preset_does_not_matter_without_splits(tmp_path):
    data = opened(make(tmp_path, *PAIR), test_split="validation", test_fraction=0.3)
    assert (len(data.train), len(data.test)) == (4, 2)


def test_hidden_files_and_folders_are_ignored(tmp_path):
    hidden = ["cat/._0.png", "cat/.thumbnails/0.png", ".git/0.png", "dog/.DS_Store"]
    data = opened(make(tmp_path, *PAIR, *hidden), test_fraction=0.2)
    assert data.class_names == ("cat", "dog")
    assert data.notes == ()
    assert sorted(names(data.train) + names(data.test)) == PAIR


def test_a_folder_with_the_name_of_an_image_is_a_folder(tmp_path):
    data = opened(make(tmp_path, *PAIR, "cat/3.png/inside.png"), test_fraction=0.2)
    assert "cat/3.png/inside.png" in names(data.train) + names(data.test)
    assert "cat/3.png" not in names(data.train) + names(data.test)
