from __future__ import annotations

import gzip
import io
import re
import shlex

import numpy as np
import pytest
from scipy.io import savemat

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.images import decode_image
from alexnet_jax.data.prepare.build import prepare
from alexnet_jax.data.prepare.imagenet2010 import collect_imagenet2010
from alexnet_jax.data.prepare.recipe import Recipe
from alexnet_jax.errors import AlexNetError
from tests.helpers.command import alexnet
from tests.helpers.imagenet import (
    SIZE,
    SYNSETS_2010,
    class_2010,
    devkit_2010,
    ground_truth_2010,
    label_2010,
    meta_2010,
    picture,
    tar_of,
    write_imagenet2010,
)

RAW = Recipe(SIZE, "raw")
DEVKIT = "ILSVRC2010_devkit-1.0.tar.gz"
TRUTH = "ILSVRC2010_test_ground_truth.txt"


@pytest.fixture
def tars(tmp_path):
    write_imagenet2010(tmp_path / "tars")
    return tmp_path / "tars"


def collect(folder):
    return collect_imagenet2010(folder, SIZE, 2)


def test_the_official_files_are_prepared_with_their_labels(tmp_path):
    import tensorflow_datasets as tfds

    images = write_imagenet2010(tmp_path / "tars")
    collection = collect(tmp_path / "tars")
    journal = prepare(collection, RAW, tmp_path, "set")
    assert journal.images == {"train": [5, 5, 5], "validation": [2, 1], "test": [2, 1]}
    assert not any(journal.damaged.values())
    assert not any("blank" in remark for remark in collection.remarks)
    config = DataConfig(dataset="set", data_dir=str(tmp_path), image_size=SIZE, validation_split="validation")
    data = open_dataset(config, 3)
    assert data.class_names == tuple(sorted(SYNSETS_2010)) != SYNSETS_2010
    builder, seen = tfds.builder_from_directory(data.where), []
    for split, source in {"train": data.train, "validation": data.validation, "test": data.test}.items():
        for index, record in enumerate(builder.as_data_source(split)):
            example, name = source[index], record["file_name"].decode()
            seen.append(name)
            np.testing.assert_array_equal(example["image"], decode_image(images[name], SIZE, 3), err_msg=name)
            if split == "train":
                assert data.class_names[example["label"]] == name.split("_")[0]
            else:
                assert example["label"] == label_2010(class_2010(int(name[-13:-5])))
    assert sorted(seen) == sorted(images)


def test_missing_images_and_patches_are_reported(tmp_path, tars):
    patched = collect(tars)
    (tars / "patch_images.tar").unlink()
    collection = collect(tars)
    assert collection.fingerprint != patched.fingerprint
    remarks = "\n".join(collection.remarks)
    assert "997 of 1,000 synsets have no training images" in remarks
    assert "49,997 of 50,000 validation images are missing" in remarks
    assert "149,997 of 150,000 test images are missing" in remarks
    assert "has no patch_images.tar, so the blank images that it replaces stay blank" in remarks


def test_other_labels_are_another_source(tars):
    before = collect(tars).fingerprint
    (tars / TRUTH).write_bytes(b"1\n" * 150_000)
    assert collect(tars).fingerprint != before


def test_a_damaged_gzip_file_is_counted_as_damaged(tmp_path, tars):
    synset = SYNSETS_2010[3]
    names = [f"{synset}_{index}.JPEG" for index in range(3)]
    whole = gzip.compress(picture(0))
    contents = (whole, whole[:-30], whole[:10] + b"\xff" * 40)
    inner = tar_of(dict(zip(names, contents, strict=True)))
    (tars / "ILSVRC2010_images_train.tar").write_bytes(tar_of({f"{synset}.tar": inner}))
    journal = prepare(collect(tars), RAW, tmp_path, "set")
    assert journal.images["train"] == [1]
    assert [image.name for image in journal.damaged["train"]] == names[1:]


@pytest.mark.parametrize(
    "name",
    [*(f"ILSVRC2010_images_{split}.tar" for split in ("train", "val", "test")), DEVKIT, TRUTH],
)
def test_missing_files_are_named(tars, name):
    (tars / name).unlink()
    with pytest.raises(AlexNetError, match=re.escape(f"has no {name}; get it from image-net.org")):
        collect(tars)


def mat(**arrays):
    stream = io.BytesIO()
    savemat(stream, arrays)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (TRUTH, ground_truth_2010(149_999), "has 149,999 labels, and 150,000 are expected"),
        (TRUTH, ground_truth_2010(149_999) + b"1001\n", "label 150,000 is '1001', and a number from 1 to 1,000"),
        (TRUTH, b"0\n" + ground_truth_2010(149_999), "label 1 is '0', and a number from 1 to 1,000"),
        (TRUTH, b"cat\n" + ground_truth_2010(149_999), "label 1 is 'cat', and a number from 1 to 1,000"),
        (DEVKIT, b"<html>not found</html>", "truncated, or not a gzipped tar"),
        (DEVKIT, devkit_2010()[:3000], "truncated, or not a gzipped tar"),
        (DEVKIT, devkit_2010(meta=None), "has no data/meta.mat; is it the development kit of ILSVRC2010?"),
        (DEVKIT, devkit_2010(validation=None), "has no data/ILSVRC2010_validation_ground_truth.txt"),
        (DEVKIT, devkit_2010(validation=b"1\n"), "has 1 labels, and 50,000 are expected"),
        (DEVKIT, devkit_2010(meta=b"no matrix"), "meta.mat: not a MATLAB file with the ILSVRC2010_ID and the WNID"),
        (DEVKIT, devkit_2010(meta=mat(classes=np.ones(3))), "meta.mat: not a MATLAB file with the ILSVRC2010_ID"),
        (DEVKIT, devkit_2010(meta=mat(synsets=np.ones(3))), "meta.mat: not a MATLAB file with the ILSVRC2010_ID"),
        (DEVKIT, devkit_2010(meta=meta_2010(SYNSETS_2010[:900])), "has 902 synsets with IDs from 1 to 1,000"),
        ("ILSVRC2010_images_train.tar", tar_of({"n00000001.tar": b""}), "not one of the 1,000 synsets of ILSVRC2010"),
        (
            "ILSVRC2010_images_test.tar",
            tar_of({"ILSVRC2010_val_00000001.JPEG": b"1"}),
            "is not a test image, ILSVRC2010_test_00000001.JPEG to ILSVRC2010_test_00150000.JPEG",
        ),
        ("patch_images.tar", tar_of({"a.JPEG": b"1"}), "holds no JPEG files in folders train, val and test"),
        ("patch_images.tar", b"<html>", "patch_images.tar: truncated, or not a tar"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_other_files_are_refused(tars, name, content, message):
    (tars / name).write_bytes(content)
    with pytest.raises(AlexNetError, match=re.escape(message)) as error:
        collect(tars)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_the_command_names_the_splits_to_train_with(tmp_path, tars):
    arguments = ["--source", "tars", "--data_dir", "data", "--image_size", 256]
    done = alexnet("prepare", "imagenet2010", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "images    15 train, 3 validation, 3 test, 256 x 256 pixels" in done.stdout
    words = shlex.split(done.stdout.splitlines()[-1])
    words = words[words.index("train") + 1 :]
    options = dict(zip(words[::2], words[1::2], strict=True))
    assert options == {
        "--preset": "imagenet_paper",
        "--data.dataset": "imagenet2010_256",
        "--data.data_dir": "data",
        "--data.image_size": "256",
        "--data.test_split": "test",
        "--data.validation_split": "validation",
    }
