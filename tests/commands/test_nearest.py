"""``alexnet nearest``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import alexnet_jax
from tests.helpers.command import alexnet
from tests.helpers.runs import write_run

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


def test_the_nearest_images_are_those_of_the_features(place):
    done = alexnet("nearest", "run", "photos", "query.png", "photos/05.png", "--json", "-", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["layer"], found["searched"]) == ("fc7", 70)
    run = alexnet_jax.load_run(place / "run")
    files = [*sorted((place / "photos").iterdir()), place / "query.png"]
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    crops = alexnet_jax.preprocess(images, run.statistics, run.config)
    features = np.asarray(alexnet_jax.features(run.params, crops, run.config.model, ["fc7"])["fc7"], np.float64)
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
