"""The images that peers read, and the peers' own programs where their packages are installed."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest

from alexnet_jax.bench.peer_pipelines import DATA_PEERS, export_images, find_missing_peers, peer_pipelines
from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.images import decode_image


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The first 30 images of the packaged test set, as the peers read them."""
    directory = tmp_path_factory.mktemp("exported")
    export_images(open_dataset(DataConfig()).test, 30, directory)
    return directory


def test_exported_images_are_those_of_the_data_set(exported):
    source = open_dataset(DataConfig()).test
    pixels = np.fromfile(exported / "images.raw", np.uint8).reshape(30, 32, 32, 3)
    labels = np.fromfile(exported / "labels.raw", np.int32)
    for index in range(30):
        np.testing.assert_array_equal(pixels[index], source[index]["image"])
        assert labels[index] == source[index]["label"]
        (file,) = exported.glob(f"jpeg/{labels[index]:04}/{index:06}.jpg")
        assert np.abs(decode_image(file, 32, 3).astype(int) - pixels[index]).mean() < 10


def test_missing_packages_of_this_interpreter_are_found():
    missing = {peer.library: peer.packages for peer in find_missing_peers(dict.fromkeys(DATA_PEERS, sys.executable))}
    for library, peer in DATA_PEERS.items():
        absent = tuple(name for name in peer.packages if importlib.util.find_spec(name) is None)
        assert missing.get(library, ()) == absent


@pytest.mark.parametrize("library", DATA_PEERS)
def test_peers_read_the_exported_images(exported, library):
    for package in DATA_PEERS[library].packages:
        pytest.importorskip(package)
    for pipeline in peer_pipelines({library: sys.executable}, exported, 32, 4, 0.05):
        assert pipeline.run().images_per_second > 0
