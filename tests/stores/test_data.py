"""Data sets on an object store."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.folder import is_image_folder
from alexnet_jax.data.identity import identify
from alexnet_jax.data.open_images import open_images
from alexnet_jax.data.tfds_source import PACKAGED
from alexnet_jax.errors import UsageError


def test_a_folder_is_copied_once_and_is_the_same_data_set(object_store, photos, capsys):
    folder, url = photos(), f"{object_store.url}/photos"
    object_store.put(folder, url)
    assert is_image_folder(url)
    assert list(Path().glob("s3:*")) == []
    config = DataConfig(dataset=url, validation_fraction=0.25)
    data = open_dataset(config)
    assert capsys.readouterr().err.startswith(f"copying {url}: 16 files, ")
    assert identify(data) == identify(open_dataset(DataConfig(dataset=str(folder), validation_fraction=0.25)))
    assert data.train[0]["image"].shape == (32, 32, 3)
    object_store.requests.clear()
    open_dataset(config)
    assert object_store.gets() == []


def test_a_class_that_was_removed_is_gone(object_store, photos):
    url = f"{object_store.url}/photos"
    object_store.put(photos(classes=("cat", "dog", "eel")), url)
    assert open_dataset(DataConfig(dataset=url)).class_names == ("cat", "dog", "eel")
    object_store.files.rm(f"{url}/eel", recursive=True)
    assert open_dataset(DataConfig(dataset=url)).class_names == ("cat", "dog")


def test_a_prepared_data_set_is_found_by_its_name_or_its_url(object_store):
    url = f"{object_store.url}/tfds"
    object_store.put(PACKAGED / "cifar10_sample", f"{url}/cifar10_sample")
    object_store.files.pipe_file(f"{url}/other/1.0.0/large.array_record", b"not copied")
    expected = identify(open_dataset(DataConfig()))
    named = open_dataset(DataConfig(data_dir=url))
    assert identify(named) == expected
    assert not is_image_folder(f"{url}/cifar10_sample/1.0.0")
    direct = open_dataset(DataConfig(dataset=f"{url}/cifar10_sample/1.0.0"))
    assert identify(direct) == expected
    assert direct.train[7]["label"] == named.train[7]["label"]
    assert not any("large" in path for path in object_store.gets())
    with pytest.raises(UsageError, match=rf"unknown data set 'cifar10_sampel': did you mean .* \(in {url}\)"):
        open_dataset(DataConfig(dataset="cifar10_sampel", data_dir=url))


def test_images_to_read_features_of_can_be_a_folder_or_an_array(object_store, photos, tmp_path):
    object_store.put(photos(), f"{object_store.url}/photos")
    with h5py.File(tmp_path / "stimuli.h5", "w") as file:
        file["images"] = np.zeros((3, 32, 32, 3), np.uint8)
    object_store.files.put_file(str(tmp_path / "stimuli.h5"), f"{object_store.url}/stimuli.h5")
    folder = open_images(f"{object_store.url}/photos", DataConfig(), 3, None, "test")
    assert (len(folder), folder.name(0)) == (16, "cat/0.png")
    assert len(open_images(f"{object_store.url}/stimuli.h5:images", DataConfig(), 3, None, "test")) == 3


@pytest.mark.slow
def test_a_second_process_waits_and_copies_nothing(object_store, photos):
    url = f"{object_store.url}/photos"
    object_store.put(photos(), url)
    code = "import sys; from alexnet_jax.stores.fetch import fetch; print(fetch(sys.argv[1]))"
    object_store.requests.clear()
    processes = [subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE) for _ in range(2)]
    places = {process.communicate()[0] for process in processes}
    assert len(places) == 1
    assert len(object_store.gets()) == 16
