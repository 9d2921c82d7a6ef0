"""Records of TFDS data sets, compared with TFDS's own reader."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_datasets as tfds

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.records import find_features
from alexnet_jax.errors import AlexNetError, UsageError
from tests.data.tfds_files import FEATURES, SIZE, photo, write_tfds


def training_set(directory, **changes):
    return open_dataset(DataConfig(dataset=str(directory), image_size=SIZE, **changes)).train


@pytest.mark.parametrize("encoding", FEATURES)
def test_pixels_and_labels_equal_those_of_tfds(tmp_path, encoding):
    source = training_set(write_tfds(tmp_path / "set", FEATURES[encoding]))
    expected = tfds.builder_from_directory(tmp_path / "set").as_data_source("train")
    assert len(source) == len(expected) == 20
    for index, example in enumerate(expected):
        np.testing.assert_array_equal(source[index]["image"], example["image"])
        assert source[index]["image"].dtype == np.uint8
        assert source[index]["label"] == example["label"] == index


def test_grouped_and_compressed_records_are_read(tmp_path):
    source = training_set(write_tfds(tmp_path / "set", FEATURES["bytes"], options="group_size:7,zstd:3"))
    for index in (0, 6, 9, 10, 19):
        np.testing.assert_array_equal(source[index]["image"], np.asarray(photo(index)))


@pytest.mark.parametrize("split", ["train[:10%]", "train[5:12]", "train[-3:]", "train[:5]+train[15:]"])
def test_parts_of_a_split_equal_those_of_tfds(tmp_path, split):
    directory = write_tfds(tmp_path / "set", FEATURES["bytes"])
    source = training_set(directory, train_split=split)
    expected = tfds.builder_from_directory(directory).as_data_source(split)
    assert [source[index]["label"] for index in range(len(source))] == [example["label"] for example in expected]


def test_pixels_of_other_channels_are_refused(tmp_path):
    directory = write_tfds(tmp_path / "set", FEATURES["bytes"])
    features = tfds.features.FeaturesDict(
        {
            "picture": tfds.features.Tensor(shape=(SIZE, SIZE, 4), dtype=np.uint8),
            "label": tfds.features.ClassLabel(num_classes=2),
        }
    )
    with pytest.raises(
        AlexNetError, match=r"set: picture has 4 channels of raw pixels; store 3 \(RGB\) or 1 \(grey\)$"
    ):
        find_features(features, None, directory)
    with pytest.raises(
        UsageError, match=r"^model\.channels is 4: use 3, because images are read as RGB, or 1 for grey"
    ):
        open_dataset(DataConfig(dataset=str(directory)), channels=4)


@pytest.mark.parametrize(
    ("supervised", "found"),
    [
        (("image", "label"), ("image", "label")),
        (("scan", "kind"), ("scan", "kind")),
        (("image", "kind", "scan"), ("image", "kind")),
        (None, ("image", "label")),
        (({"image": "image"}, "label"), ("image", "label")),
    ],
)
def test_the_supervised_image_and_label_of_several_are_read(tmp_path, supervised, found):
    image = tfds.features.Image(shape=(SIZE, SIZE, 3))
    kinds = {name: tfds.features.ClassLabel(num_classes=2) for name in ("kind", "label", "species")}
    features = tfds.features.FeaturesDict({"mask": image, "scan": image, **kinds, "image": image})
    assert find_features(features, supervised, tmp_path) == found
