"""Prepared TFDS data sets."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.tfds_source import PACKAGED
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.hints import command

SAMPLE = PACKAGED / "cifar10_sample" / "1.0.0"


def test_packaged_sample_is_balanced_and_small():
    data = open_dataset(DataConfig())
    for source, count in ((data.train, 500), (data.test, 100)):
        assert np.bincount([source[index]["label"] for index in range(len(source))]).tolist() == [count] * 10
    assert data.class_names[:3] == ("airplane", "automobile", "bird")
    assert data.train[0]["image"].shape == (32, 32, 3)
    assert sum(file.stat().st_size for file in SAMPLE.iterdir()) <= 14 * 2**20


@pytest.fixture
def prepared(tmp_path):
    """A data_dir with the sample under another name."""
    data_dir = tmp_path / "tfds"
    shutil.copytree(SAMPLE, data_dir / "mine" / "1.0.0")
    info = data_dir / "mine" / "1.0.0" / "dataset_info.json"
    for file in (data_dir / "mine" / "1.0.0").glob("cifar10_sample-*"):
        file.rename(file.with_name(file.name.replace("cifar10_sample", "mine")))
    info.write_text(info.read_text().replace('"cifar10_sample"', '"mine"'))
    return data_dir


def test_data_set_is_found_by_name_version_and_path(prepared):
    for name in ("mine", "mine:1.0.0", str(prepared / "mine" / "1.0.0")):
        assert len(open_dataset(DataConfig(dataset=name, data_dir=str(prepared))).test) == 1000


def test_newest_version_is_the_default(prepared):
    shutil.copytree(prepared / "mine" / "1.0.0", prepared / "mine" / "1.10.0")
    shutil.copytree(prepared / "mine" / "1.0.0", prepared / "mine" / "1.9.0")
    assert open_dataset(DataConfig(dataset="mine", data_dir=str(prepared))).where.name == "1.10.0"
    assert open_dataset(DataConfig(dataset="mine:1.9.0", data_dir=str(prepared))).where.name == "1.9.0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "mime"}, "unknown data set 'mime': did you mean mine"),
        ({"dataset": "mine:2.0.0"}, "has mine, but not this version"),
        ({"dataset": "mine", "train_split": "trian"}, "did you mean train"),
        ({"dataset": "mine", "validation_split": "validation"}, "unknown split"),
    ],
)
def test_unknown_names_suggest_similar_ones(prepared, changes, message):
    with pytest.raises(UsageError, match=message):
        open_dataset(DataConfig(data_dir=str(prepared), **changes))


@pytest.mark.parametrize(
    ("dataset", "hint"),
    [
        ("imagenet2012_256", command("prepare", "imagenet2012", "--help")),
        ("cifar100", "tfds build cifar100 --file_format=array_record"),
        ("my_photos", command("prepare", "--help")),
    ],
)
def test_missing_data_set_comes_with_the_command_that_makes_it(tmp_path, dataset, hint):
    with pytest.raises(UsageError) as raised:
        open_dataset(DataConfig(dataset=dataset, data_dir=str(tmp_path)))
    assert f"with `{hint}`" in str(raised.value)


def test_tfrecord_is_refused_with_the_command_that_converts_it(prepared):
    info = prepared / "mine" / "1.0.0" / "dataset_info.json"
    content = json.loads(info.read_text())
    info.write_text(json.dumps(content | {"fileFormat": "tfrecord"}))
    with pytest.raises(AlexNetError, match=r"tfds convert_format --dataset_version_dir=.* --out_dir"):
        open_dataset(DataConfig(dataset="mine", data_dir=str(prepared)))


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "mine-train.array_record-00000-of-00001"])
@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_data_set_is_refused(prepared, name, damage):
    file = prepared / "mine" / "1.0.0" / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(AlexNetError, match=r"damaged|unknown data set|not this version"):
        open_dataset(DataConfig(dataset="mine", data_dir=str(prepared)))
