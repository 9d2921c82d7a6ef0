"""Images that are unusual but intact are read like plain ones with the same pixels."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.helpers.command import alexnet

NAMES = ("alpha.png", "grey16.png", "moving.webp", "turned.png")


@pytest.fixture
def folders(tmp_path):
    """``odd`` with unusual images, and ``plain`` with their pixels as plain PNG, in the same order."""
    (tmp_path / "odd").mkdir()
    (tmp_path / "plain").mkdir()
    rng = np.random.default_rng(0)
    alpha, grey, moving, turned = (rng.integers(0, 256, (16, 16, 4), dtype=np.uint8) for _ in NAMES)
    sixteen = grey[..., 0].astype(np.uint16) * 256 + grey[..., 1]
    Image.fromarray(alpha).save(tmp_path / "odd" / "alpha.png")
    Image.fromarray(sixteen).save(tmp_path / "odd" / "grey16.png")
    frames = [Image.fromarray(moving[..., :3]), Image.fromarray(255 - moving[..., :3])]
    frames[0].save(tmp_path / "odd" / "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise
    Image.fromarray(turned[..., :3]).save(tmp_path / "odd" / "turned.png", exif=exif)
    upright = np.rot90(turned[..., :3], -1)
    for name, pixels in zip(NAMES, (alpha[..., :3], grey[..., 0], moving[..., :3], upright), strict=True):
        Image.fromarray(pixels).save((tmp_path / "plain" / name).with_suffix(".png"))
    return tmp_path


def test_features_are_those_of_the_plain_images(place, folders):
    for folder in ("odd", "plain"):
        done = alexnet("features", place / "run", folder, "--layers", "conv1", "--out", f"{folder}.h5", cwd=folders)
        assert (done.returncode, done.stderr) == (0, "")
    with h5py.File(folders / "odd.h5") as odd, h5py.File(folders / "plain.h5") as plain:
        np.testing.assert_array_equal(odd["conv1"][:], plain["conv1"][:])


def test_each_is_nearest_to_its_plain_image(place, folders):
    words = ("nearest", place / "run", "plain", "odd", "--layer", "conv1", "--json", "-")
    done = alexnet(*words, cwd=folders)
    assert (done.returncode, done.stderr) == (0, "")
    for name, row in zip(NAMES, json.loads(done.stdout)["images"], strict=True):
        first = row["nearest"][0]
        assert (row["image"], first["name"]) == (f"odd/{name}", f"{name.partition('.')[0]}.png")
        assert first["distance"] < 1e-4
