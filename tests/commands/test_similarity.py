"""``alexnet similarity``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from alexnet_jax.console import progress
from tests.helpers.command import alexnet

LAYERS = ("pool1", "pool5", "fc6")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Features of 30 images: ``a.h5`` and ``noisy.npz``, and the same features in ``a.mat``."""
    place = tmp_path_factory.mktemp("similarity")
    rng = np.random.default_rng(0)
    a = {name: rng.normal(size=(30, 2, 2, 6)).astype(np.float32) for name in LAYERS}
    with h5py.File(place / "a.h5", "w") as file:
        for name, array in a.items():
            file[name] = array
    noisy = {name: array + noise * rng.normal(size=array.shape) for noise, (name, array) in enumerate(a.items())}
    np.savez(place / "noisy.npz", **noisy)
    savemat(place / "a.mat", a)
    for name in ("a.h5", "noisy.npz"):
        (place / f"{name}.order.txt").write_text("".join(f"{index}.png\n" for index in range(30)))
    return place


def test_a_layer_is_like_itself_and_less_like_noisy_ones(place):
    done = alexnet("similarity", "a.h5", "noisy.npz", "--json", "-", "--matrices", "m.npz", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert (found["images"], found["of"]) == (30, 30)
    rows = {row.pop("layer"): row for row in found["layers"]}
    assert sorted(rows) == sorted(LAYERS)
    assert rows["pool1"] == pytest.approx({"spearman": 1, "kendall": 1, "cka": 1})
    for measure in ("spearman", "kendall", "cka"):
        assert 1 > rows["pool5"][measure] > rows["fc6"][measure]
    with np.load(place / "m.npz") as matrices:
        assert matrices["A/fc6"].shape == matrices["B/pool1"].shape == (30, 30)
        assert matrices["rows"].tolist() == list(range(30))
    with Image.open(place / "similarity.png") as picture:
        assert picture.width <= 800


def test_the_text_says_how_many_images_were_drawn(place):
    done = alexnet("similarity", "a.h5", "a.mat", "--images", 10, "--layers", "fc6", "pool1=pool5", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "images    10 of 30, drawn with seed 0"
    assert lines[3].split() == ["fc6", "1.000", "1.000", "1.000"]
    assert lines[4].startswith("pool1=pool5")
    assert lines[-1] == "written   similarity.png"


def test_progress_is_counted_in_features_of_both_files(place, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    done = alexnet("similarity", "a.h5", "a.mat", "--layers", "fc6", "pool1=pool5", cwd=place)
    lines = [line for line in done.stdout.splitlines() if line.startswith("features")]
    assert re.fullmatch(r"features  96 of 96, [\d,]+ features/s, 0:00 left", lines[-1])


def write(path, **arrays):
    np.savez(path, **{name: np.asarray(array, np.float32) for name, array in arrays.items()})


def test_files_that_do_not_fit_are_refused(place):
    rng = np.random.default_rng(1)
    write(place / "few.npz", fc6=rng.normal(size=(20, 4)))
    write(place / "others.npz", fc9=rng.normal(size=(30, 4)))
    write(place / "uneven.npz", fc6=rng.normal(size=(30, 4)), fc7=rng.normal(size=(29, 4)))
    write(place / "numbers.npz", fc6=rng.normal(size=30))
    write(place / "moved.npz", fc6=rng.normal(size=(30, 4)))
    (place / "moved.npz.order.txt").write_text("".join(f"{index}.png\n" for index in (*range(5), *range(6, 31))))
    write(place / "short.npz", fc6=rng.normal(size=(30, 4)))
    (place / "short.npz.order.txt").write_text("0.png\n")
    (place / "damaged.npz").write_bytes((place / "few.npz").read_bytes()[:300])
    (place / "damaged.mat").write_bytes((place / "a.mat").read_bytes()[:3000])
    for name, status, text in (
        ("few.npz", 2, "a.h5 has 30 rows and few.npz 20: read the same images with both nets"),
        ("others.npz", 2, "no layer in common: name pairs with --layers, such as fc6=fc9"),
        ("uneven.npz", 1, "its arrays have 29 and 30 rows"),
        ("numbers.npz", 1, "has no arrays of features"),
        ("moved.npz", 2, "row 5 is 5.png in one and 6.png in the other"),
        ("short.npz", 1, "short.npz.order.txt: has 1 lines for 30 rows"),
        ("damaged.npz", 1, "damaged.npz: cannot be read"),
        ("damaged.mat", 1, "damaged.mat: cannot be read"),
        ("missing.npz", 1, "missing.npz: no such file"),
        ("similarity.png", 2, "similarity.png: unknown format"),
    ):
        done = alexnet("similarity", "a.h5", name, "--out", "refused.png", cwd=place)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (status, "", 1), done
        assert text in done.stderr
    done = alexnet("similarity", "a.h5", "noisy.npz", "--layers", "pol1", cwd=place)
    assert "a.h5: unknown layer 'pol1': did you mean pool1" in done.stderr
    assert not (place / "refused.png").exists()
