"""``alexnet predict``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.run_directories import write_run

CLASSES = ("cat", "dog", "horse", "ship", "truck", "frog")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with the run ``run`` and the folder ``photos``, of which one file in a subfolder is damaged."""
    place = tmp_path_factory.mktemp("predict")
    write_run(place / "run", tiny_config(model=tiny_model("single_tower", classes=6)), CLASSES)
    rng = np.random.default_rng(0)
    (place / "photos" / "more").mkdir(parents=True)
    for name in ("b.jpg", "a.PNG", "more/c.webp"):
        Image.fromarray(rng.integers(0, 256, (80, 90, 3), dtype=np.uint8)).save(place / "photos" / name)
    (place / "photos" / "more" / "broken.png").write_bytes(b"no image")
    (place / "photos" / "notes.txt").write_text("no image either")
    return place


@pytest.fixture(scope="module")
def predicted(place):
    return alexnet("predict", "run", "photos", "--json", "out.json", "--top", 3, cwd=place)


def test_a_folder_is_searched_for_images(predicted):
    files = re.findall(r"^\S.*$", predicted.stdout, re.MULTILINE)
    assert files == ["photos/a.PNG", "photos/b.jpg", "photos/more/c.webp"]


def test_a_damaged_file_is_named_and_the_others_are_predicted(predicted):
    assert predicted.returncode == 1
    assert re.fullmatch(r"alexnet: error: photos/more/broken\.png: not a readable image .*\n", predicted.stderr)


def test_json_agrees_with_the_text(place, predicted):
    found = json.loads((place / "out.json").read_text())
    text = ""
    for prediction in found:
        text += prediction["file"] + "\n"
        assert len(prediction["classes"]) == 3
        for row in prediction["classes"]:
            assert CLASSES[row["label"]] == row["class"]
            text += f"  {row['probability']:7.2%}  {row['class']}\n"
    assert text == predicted.stdout


def test_json_to_standard_output_prints_only_json(place, predicted):
    done = alexnet("predict", "run", "photos/b.jpg", "--json", "-", cwd=place)
    assert done.returncode == 0, done.stderr
    (prediction,) = json.loads(done.stdout)
    assert prediction["file"] == "photos/b.jpg"
    assert len(prediction["classes"]) == 5


def test_top_is_limited_to_the_number_of_classes(place):
    done = alexnet("predict", "run", "photos/b.jpg", "--top", 99, cwd=place)
    assert {line.split()[1] for line in done.stdout.splitlines()[1:]} == set(CLASSES)
    probabilities = [float(value) for value in re.findall(r"([\d.]+)%", done.stdout)]
    assert sum(probabilities) == pytest.approx(100, abs=0.03)
    assert probabilities == sorted(probabilities, reverse=True)


def test_probabilities_do_not_depend_on_the_batch_size(place, predicted, monkeypatch):
    monkeypatch.setattr("alexnet_jax.training.evaluation.BATCH_SIZE", 2)
    done = alexnet("predict", "run", "photos", "--top", 3, cwd=place)
    assert done.stdout == predicted.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["run"], 2, "no images: name one or more files or folders after the net"),
        (["run", "photos/b.jpg", "--top", "0"], 2, "--top is 0: use a number above 0"),
        (["run", "photos/b.jpg", "--json", "no/x.json"], 2, "--json is no/x.json: there is no directory no"),
        (["run", "run/checkpoints"], 1, "run/checkpoints: no images in this folder"),
        (["run", "no.jpg"], 1, "no.jpg: not a readable image (no such file or directory)"),
        (["nowhere", "photos"], 1, "nowhere: no such file"),
    ],
)
def test_errors_are_one_line(place, arguments, status, message):
    done = alexnet("predict", *arguments, cwd=place)
    assert (done.returncode, done.stdout) == (status, "")
    assert re.fullmatch(rf"alexnet: error: {re.escape(message)}.*\n", done.stderr), done.stderr
