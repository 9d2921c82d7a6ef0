"""Commands that read weights from an object store and write their results there."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from safetensors.numpy import load

import alexnet_jax
from alexnet_jax.weights.read import load_weights
from tests.helpers.command import alexnet
from tests.helpers.references import REFERENCES
from tests.helpers.run_directories import write_run

TORCH = REFERENCES / "torch" / "tiny_torchvision.pth"
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def succeed(*arguments):
    done = alexnet(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_weights_make_a_round_trip(object_store):
    source, converted = f"{object_store.url}/net.pth", f"{object_store.url}/weights/net.safetensors"
    object_store.files.put_file(str(TORCH), source)
    output = succeed("convert", source, converted, "--variant", "torchvision")
    assert output.endswith(f"written  {converted}, alexnet_jax format\n")
    assert object_store.names() == ["net.pth", "weights/net.safetensors"]
    assert load(object_store.files.cat_file(converted)).keys()
    here, there = load_weights(TORCH, "torchvision"), alexnet_jax.load_weights(converted)
    np.testing.assert_array_equal(here.params["conv1"]["kernel"], there.params["conv1"]["kernel"])
    object_store.requests.clear()
    assert alexnet("convert", source, converted, "--variant", "torchvision").stderr == (
        f"alexnet: error: {converted}: already exists; remove it, or use another name\n"
    )
    assert object_store.gets() == []  # refused before the work


def test_errors_name_the_url(object_store):
    object_store.files.pipe_file(f"{object_store.url}/net.safetensors", b"damaged")
    done = alexnet("summary", f"{object_store.url}/net.safetensors")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"alexnet: error: {object_store.url}/net.safetensors: ")
    done = alexnet("predict", f"{object_store.url}/run", "cat.jpg")
    assert done.stderr.splitlines()[-1].startswith(f"alexnet: error: {object_store.url}/run: holds no run")
    done = alexnet("prepare", "folder", "--source", ".", "--data_dir", object_store.url)
    assert done.stderr.startswith(
        f"alexnet: error: --data_dir is '{object_store.url}': use a directory of this machine"
    )


@pytest.fixture
def run(object_store, tmp_path):
    """The URL of an untrained run."""
    write_run(tmp_path / "run", alexnet_jax.preset("quickstart"), CLASSES)
    object_store.put(tmp_path / "run", f"{object_store.url}/run")
    return f"{object_store.url}/run"


@pytest.mark.slow
def test_results_are_objects(object_store, run, photos):
    object_store.put(photos(per_class=2), f"{object_store.url}/photos")
    out = f"{object_store.url}/out"
    words = ["features", run, f"{object_store.url}/photos", "--layers", "pool5", "--out", f"{out}/a.h5"]
    found = json.loads(succeed(*words, "--json", "-"))
    assert found["out"] == f"{out}/a.h5"
    assert object_store.names(out) == ["a.h5", "a.h5.order.txt"]
    with object_store.files.open(f"{out}/a.h5") as file, h5py.File(file) as features:
        assert features["pool5"].shape == (4, 3, 3, 64)
    assert "already exists" in alexnet(*words).stderr
    compare = ["similarity", f"{out}/a.h5", f"{out}/a.h5", "--out", f"{out}/a.png", "--matrices", f"{out}/a.npz"]
    assert succeed(*compare).endswith(f"written   {out}/a.png, {out}/a.npz\n")
    exported = succeed("export", run, f"{out}/net.stablehlo")
    assert f"written  {out}/net.stablehlo, " in exported
    assert object_store.names(out) == ["a.h5", "a.h5.order.txt", "a.npz", "a.png", "net.stablehlo"]


@pytest.mark.slow
def test_the_report_of_a_run_is_written_beside_it(object_store, run, tmp_path):
    assert f"written  {run}/report.html, " in succeed("report", run)
    assert object_store.files.cat_file(f"{run}/report.html").startswith(b"<!doctype html>")


@pytest.mark.slow
def test_nearest_reads_features_with_the_names_of_their_images(object_store, run, photos):
    folder = photos(per_class=2)
    succeed("features", run, folder, "--layers", "relu7", "--out", f"{object_store.url}/a.h5")
    found = json.loads(succeed("nearest", run, f"{object_store.url}/a.h5", folder / "cat/0.png", "--json", "-"))
    assert found["images"][0]["nearest"][0]["name"] == "cat/0.png"
