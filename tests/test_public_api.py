"""The public names: documented, and enough to read features in a few lines."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import alexnet_jax as alexnet
from tests.helpers.command import alexnet as run_alexnet
from tests.helpers.runs import write_run

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SCRIPT = """\
import alexnet_jax as alexnet
import numpy as np

run = alexnet.load_run("runs/quickstart")
data = alexnet.open_dataset(run.config.data)
images = np.stack([data.test[index]["image"] for index in range(100)])
inputs = alexnet.preprocess(images, run.statistics, run.config)
conv5 = alexnet.features(run.params, inputs, run.config.model, ["conv5"])["conv5"]
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with an untrained quick run in ``runs/quickstart``."""
    place = tmp_path_factory.mktemp("public")
    write_run(place / "runs" / "quickstart", alexnet.preset("quickstart"), CLASSES)
    return place


def test_features_of_a_hundred_images_take_five_lines(place, monkeypatch):
    monkeypatch.chdir(place)
    names: dict[str, jax.Array] = {}
    exec(SCRIPT, names)
    assert (names["conv5"].shape, names["conv5"].dtype) == ((100, 7, 7, 64), np.float32)


def test_the_public_functions_give_the_probabilities_that_predict_prints(place):
    run = alexnet.load_run(place / "runs" / "quickstart")
    assert (run.class_names, run.step) == (CLASSES, 7)
    image = alexnet.open_dataset(run.config.data).test[3]["image"]
    Image.fromarray(image).save(place / "image.png")
    inputs = alexnet.preprocess(image[None], run.statistics, run.config)
    logits = jax.jit(alexnet.AlexNet(run.config.model).apply)({"params": run.params}, inputs)
    expected = np.asarray(jax.nn.softmax(logits))[0]
    done = run_alexnet("predict", "runs/quickstart", "image.png", "--devices", 1, cwd=place)
    printed = [line.split() for line in done.stdout.splitlines()[1:]]
    assert len(printed) == 5
    for percentage, name in printed:
        assert percentage == f"{expected[CLASSES.index(name)]:.2%}"
