"""``alexnet lpips``."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from PIL import Image

from alexnet_jax import lpips, pretrained
from alexnet_jax.console import progress
from tests.helpers.command import alexnet

ABOUT = "LPIPS, net torchvision_features, heads v0.1\n"
SIZE = (32, 37)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two folders of three images, one folder with another, and odd files."""
    place = tmp_path_factory.mktemp("lpips")
    rng = np.random.default_rng(0)

    def picture(*shape):
        return Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8))

    for name in ("one/a.png", "one/b.png", "one/more/c.png", "two/a.png", "two/b.png", "two/more/c.png", "other/d.png"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        picture(*SIZE, 3).save(place / name)
    picture(*SIZE, 4).save(place / "alpha.png")
    Image.fromarray(rng.integers(0, 65536, SIZE, dtype=np.uint16)).save(place / "deep.png")
    picture(*SIZE, 3).save(place / "moving.webp", save_all=True, append_images=[picture(*SIZE, 3)], lossless=True)
    turned = Image.Exif()
    turned[0x112] = 6
    picture(*SIZE, 3).save(place / "turned.jpg", exif=turned)
    picture(31, 40, 3).save(place / "small.png")
    (place / "broken.png").write_bytes(b"no image")
    return place


@pytest.fixture(scope="module")
def distance(place):
    params = pretrained("torchvision_features")[1]

    def measure(a, b):
        images = []
        for name in (a, b):
            with Image.open(place / name) as image:
                images.append(np.asarray(image.convert("RGB"))[None])
        return pytest.approx(float(lpips(params, *images)[0]), rel=1e-5)

    return measure


def test_two_files_and_the_map(place, distance):
    done = alexnet("lpips", "one/a.png", "two/a.png", "--map", "map.png", "--json", "out.json", cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(ABOUT)
    (row,) = json.loads((place / "out.json").read_text())
    assert row == {"a": "one/a.png", "b": "two/a.png", "distance": distance("one/a.png", "two/a.png")}
    assert done.stdout.splitlines()[-1].split() == [f"{row['distance']:.6f}", row["a"], row["b"]]
    with Image.open(place / "map.png") as picture:
        assert (picture.format, picture.width > 1000) == ("PNG", True)


def test_two_folders_are_compared_by_name(place, distance):
    done = alexnet("lpips", "one", "two", "--json", "-", cwd=place)
    assert (done.returncode, done.stderr) == (0, ABOUT)
    names = ("a.png", "b.png", "more/c.png")
    assert json.loads(done.stdout) == [
        {"a": f"one/{name}", "b": f"two/{name}", "distance": distance(f"one/{name}", f"two/{name}")} for name in names
    ]


@pytest.mark.parametrize("words", [["one"], ["one", "one"], ["one", "one/"]])
def test_one_folder_with_itself_is_all_pairs(place, words):
    done = alexnet("lpips", *words, "--json", "-", cwd=place)
    pairs = [(row["a"], row["b"]) for row in json.loads(done.stdout)]
    assert pairs == [("one/a.png", "one/b.png"), ("one/a.png", "one/more/c.png"), ("one/b.png", "one/more/c.png")]


def test_without_heads_the_distance_is_another_one(place):
    done = alexnet("lpips", "one/a.png", "two/a.png", "--heads", "none", cwd=place)
    assert done.stdout.startswith("LPIPS, net torchvision_features, heads none\n")
    assert float(done.stdout.split()[-3]) > 0.5


def test_files_are_read_as_by_predict_and_what_is_left_out_is_named(place, distance):
    for name, part in (("alpha.png", "its transparency"), ("moving.webp", "all frames but the first")):
        done = alexnet("lpips", name, "one/a.png", "--json", "-", cwd=place)
        assert done.stderr == f"alexnet: note: {name}: not compared: {part}\n{ABOUT}"
        assert json.loads(done.stdout)[0]["distance"] == distance(name, "one/a.png")
    done = alexnet("lpips", "deep.png", "one/a.png", cwd=place)
    assert done.stderr == "alexnet: note: deep.png: not compared: the lower 8 bits of its 16\n"
    assert alexnet("lpips", "turned.jpg", "turned.jpg", cwd=place).stdout.splitlines()[-1].startswith("  0.000000")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ("one/a.png turned.jpg", 2, "one/a.png is 37 x 32 pixels and turned.jpg 32 x 37 (width x height, upright by"),
        ("small.png small.png", 2, "small.png: is 40 x 31 pixels; use images of at least 32 x 32"),
        ("one/a.png broken.png", 1, "broken.png: not a readable image (cannot identify the format)"),
        ("one/a.png missing.png", 1, "missing.png: not a readable image (no such file or directory)"),
        ("one/a.png", 2, "one/a.png: is one image; name a second one, or a folder"),
        ("one one/a.png", 2, "one is a folder and one/a.png is not; name two files or two folders"),
        ("one other", 2, "one has a.png, b.png, more/c.png, which other does not have; give the 3 image(s) a partner"),
        ("other", 1, "other: has one image; use a folder with two or more"),
        ("one two --map map.png", 2, "--map is map.png: there are 3 pairs; name two files for a map"),
        ("one/a.png two/a.png --map map.jpg", 2, "--map is map.jpg: use a name that ends in .png"),
        ("one/a.png two/a.png --map no/map.png", 2, "--map is no/map.png: there is no directory no"),
        ("one/a.png two/a.png --map one/a.png", 2, "--map is one/a.png: is one of the images; use another name"),
        ("one/a.png two/a.png --json no/x.json", 2, "--json is no/x.json: there is no directory no"),
        ("one/a.png two/a.png --heads v0.0", 2, "--heads is 'v0.0': use v0.1 or none"),
        ("one/a.png two/a.png --net nothing", 1, "nothing: no such file"),
    ],
)
def test_wrong_usage_is_one_line(place, words, status, message):
    done = alexnet("lpips", *words.split(), cwd=place)
    assert (done.returncode, done.stdout) == (status, "")
    assert re.fullmatch(rf"alexnet: error: {re.escape(message)}.*\n", done.stderr), done.stderr


def test_progress_is_shown_in_pairs(place, monkeypatch):
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)
    done = alexnet("lpips", "one", cwd=place)
    assert done.returncode == 0, done.stderr
    assert re.search(r"pairs +2 of 3, [\d,]+ pairs/s, \d+:\d\d left", done.stderr)
