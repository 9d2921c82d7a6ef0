"""The public names: documented, and enough to read features in a few lines."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import alexnet_jax as alexnet
from tests.helpers.command import alexnet as run_alexnet
from tests.helpers.run_directories import write_run

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


PUBLIC = [getattr(alexnet, name) for name in alexnet.__all__ if name != "__version__"]


@pytest.mark.parametrize("function", [name for name in PUBLIC if inspect.isfunction(name)], ids=lambda f: f.__name__)
def test_public_functions_document_arguments_result_and_errors(function):
    sections = google_sections(function)
    signature = inspect.signature(function)
    arguments = [name.lstrip("*") for name in sections.get("Args", {})]
    assert arguments == list(signature.parameters)
    assert sections.get("Returns") or signature.return_annotation in ("None", "Iterator[None]")
    if raises_an_error(function):
        assert "Raises" in sections


@pytest.mark.parametrize("kind", [name for name in PUBLIC if inspect.isclass(name)], ids=lambda kind: kind.__name__)
def test_public_classes_have_docstrings(kind):
    assert kind.__doc__
    assert not kind.__doc__.startswith(f"{kind.__name__}(")  # as dataclass writes it


def test_public_names_are_sorted_and_importable():
    assert alexnet.__all__ == sorted(alexnet.__all__)


def google_sections(function) -> dict[str, dict[str, str]]:
    """The sections of a docstring, each with its entries by name."""
    sections: dict[str, dict[str, str]] = {}
    for line in inspect.getdoc(function).splitlines():
        if heading := re.fullmatch(r"(Args|Returns|Raises):", line):
            entries = sections.setdefault(heading[1], {})
        elif sections and (entry := re.match(r" {4}(\S[^:]*):? ?(.*)", line)):
            entries[entry[1]] = entry[2]
    return sections


def raises_an_error(function) -> bool:
    return "raise " in inspect.getsource(function)
