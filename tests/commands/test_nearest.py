"""``alexnet nearest``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet_jax
from alexnet_jax.console import progress
from tests.helpers.command import alexnet
from tests.helpers.run_directories import write_run

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with the run ``run``, a folder of 70 photos, and ``query.png``, a copy of 33.png with noise."""
    place = tmp_path_factory.mktemp("nearest")
    write_run(place / "run", alexnet_jax.preset("quickstart"), CLASSES)
    rng = np.random.default_rng(0)
    (place / "photos").mkdir()
    for index in range(70):
        pixels = np.kron(rng.integers(0, 256, (8, 8, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(place / "photos" / f"{index:02}.png")
        if index == 33:
            noise = rng.integers(-5, 6, pixels.shape)
            Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(place / "query.png")
    return place


@pytest.fixture(autouse=True)
def no_progress(monkeypatch):
    """On a slow machine, too."""
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", np.inf)


def test_the_nearest_images_are_those_of_the_features(place):
    done = alexnet("nearest", "run", "photos", "query.png", "photos/05.png", "--json", "-", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["layer"], found["searched"]) == ("relu7", 70)
    run = alexnet_jax.load_run(place / "run")
    files = [*sorted((place / "photos").iterdir()), place / "query.png"]
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    crops = alexnet_jax.preprocess(images, run.statistics, run.config)
    features = np.asarray(alexnet_jax.features(run.params, crops, run.config.model, ["relu7"])["relu7"], np.float64)
    distances = np.linalg.norm(features[:70] - features[70], axis=1)
    nearest = found["images"][0]["nearest"]
    assert [one["row"] for one in nearest] == np.argsort(distances)[:6].tolist()
    np.testing.assert_allclose([one["distance"] for one in nearest], np.sort(distances)[:6], rtol=1e-3)
    assert nearest[0]["name"] == "33.png"
    assert found["images"][1]["nearest"][0] == {"name": "05.png", "row": 5, "distance": pytest.approx(0, abs=1e-5)}
    with Image.open(place / "nearest.png") as picture:
        assert picture.width <= 800


def test_the_table_and_the_picture_can_have_another_count_and_layer(place):
    done = alexnet(
        "nearest", "run", "photos", "query.png", "--count", 2, "--layer", "features.12", "--out", "two.png", cwd=place
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "layer     features.12, 70 images searched"
    assert lines[2].split()[:2] == ["query.png", "33.png"]
    assert len(lines) == 5
    assert lines[-1] == "written   two.png"


def test_stored_features_are_searched_as_the_images_are(place):
    words = ["--layers", "fc6", "classifier.5"]
    for name in ("stored.h5", "stored.npz", "stored.mat"):
        done = alexnet("features", "run", "photos", *words, "--out", name, cwd=place)
        assert done.returncode == 0, done.stderr
    expected = json.loads(alexnet("nearest", "run", "photos", "query.png", "--json", "-", cwd=place).stdout)
    expected_distances = [one.pop("distance") for one in expected["images"][0]["nearest"]]
    for name in ("stored.h5", "stored.npz", "stored.mat"):
        done = alexnet("nearest", "run", name, "query.png", "--json", "-", cwd=place)
        assert (done.returncode, done.stderr) == (0, "")
        found = json.loads(done.stdout)
        distances = [one.pop("distance") for one in found["images"][0]["nearest"]]
        assert found == expected | {"picture": None}
        np.testing.assert_allclose(distances, expected_distances, rtol=1e-12)
    (place / "stored.npz.order.txt").unlink()
    done = alexnet("nearest", "run", "stored.npz", "query.png", cwd=place)
    assert "written" not in done.stdout
    assert re.search(r"query.png +row 33 ", done.stdout)


def test_stored_features_that_do_not_fit_are_refused(place):
    for name, *words in (
        ("fc6.h5", "--layers", "fc6"),
        ("untrained.h5", "--layers", "fc6", "--untrained", 5),
        ("mean.npz", "--layers", "pool5", "--spatial_mean"),
    ):
        assert alexnet("features", "run", "photos", *words, "--out", name, cwd=place).returncode == 0
    np.savez(place / "other.npz", relu7=np.zeros((3, 128), np.float32))
    for words, text in (
        (("fc6.h5", "query.png"), "fc6.h5: has no features of relu7; use --layer with one of fc6"),
        (("fc6.h5", "query.png", "--layer", "fc6", "--out", "a.png"), "--out is a.png: fc6.h5 has no images to draw"),
        (("fc6.h5", "query.png", "--layer", "fc6", "--split", "test"), "--split is test: only data sets have splits"),
        (("untrained.h5", "query.png", "--layer", "fc6"), "untrained.h5: was read with another net (other net)"),
        (("mean.npz", "query.png", "--layer", "pool5"), "mean.npz: its features of pool5 are reduced"),
        (("other.npz", "query.png"), "other.npz: was not written by `alexnet features`"),
    ):
        done = alexnet("nearest", "run", *words, cwd=place)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1), done
        assert text in done.stderr
