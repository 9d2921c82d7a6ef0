"""The commands that read and write weights: convert, fine-tune, predict, evaluate, export."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import jax
import numpy as np
import onnxruntime
import pytest
from PIL import Image
from safetensors.numpy import load_file

from alexnet_jax.weights.read import read_weights
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.references import REFERENCES
from tests.helpers.run_directories import write_run

TORCH = REFERENCES / "torch" / "tiny_torchvision"
CAFFE = REFERENCES / "caffe" / "tiny_caffe_alexnet.caffemodel"


def succeed(*arguments, cwd=None):
    done = alexnet(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with photos of two classes, an untrained run on them, and torchvision's tiny net converted."""
    place = tmp_path_factory.mktemp("weights")
    rng = np.random.default_rng(1)
    for part, count in (("train", 8), ("test", 3)):
        for label, kind in enumerate(("dark", "light")):
            (place / "photos" / part / kind).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 100, (82, 90, 3), dtype=np.uint8) + np.uint8(150 * label)
                Image.fromarray(pixels).save(place / "photos" / part / kind / f"{index}.png")
    config = tiny_config(model=tiny_model("torchvision", classes=2))
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset="photos"))
    write_run(place / "run", config, ("dark", "light"))
    output = succeed("convert", f"{TORCH}.pth", place / "net.safetensors", "--variant", "torchvision")
    assert "14,746 parameters" in output
    (place / "notes.txt").touch()
    return place


@pytest.mark.slow
def test_fine_tuning_keeps_frozen_layers_and_draws_a_new_classifier(place):
    frozen = ["--optimizer.frozen", "conv1", "conv2", "conv3", "conv4", "conv5"]
    run = ["--data.dataset", "photos", "--workdir", "fine", "--epochs", 2, "--batch_size", 8]
    output = succeed(
        "train", "--init", "net.safetensors", *run, *frozen, "--schedule.layer_rates", "fc8", 0, 10, cwd=place
    )
    assert f"starts from {place / 'net.safetensors'}, with a new fc8: 2 classes, not 10" in output
    before, after = read_weights(place / "net.safetensors"), read_weights(place / "fine")
    assert after.class_names == ("dark", "light")
    for layer in before.params:
        same = np.array_equal(after.params[layer]["kernel"], before.params[layer]["kernel"])
        assert same == layer.startswith("conv"), layer
    np.testing.assert_array_equal(after.statistics.mean, before.statistics.mean)


def test_a_converted_run_predicts_as_the_run_does(place):
    succeed("convert", "run", "converted.safetensors", cwd=place)
    assert succeed("evaluate", "converted.safetensors", cwd=place) == succeed("evaluate", "run", cwd=place)
    picture = "photos/test/dark/0.png"
    assert succeed("predict", "converted.safetensors", picture, cwd=place) == succeed(
        "predict", "run", picture, cwd=place
    )
    assert re.search(r"^ +[\d.]+%  light$", succeed("predict", "run", picture, cwd=place), re.MULTILINE)
    succeed("convert", "run", "torch.safetensors", "--format", "torchvision", cwd=place)
    assert load_file(place / "torch.safetensors")["classifier.6.weight"].shape == (2, 16)


def test_a_caffemodel_needs_no_conversion(place):
    output = succeed("predict", CAFFE, "photos/test/dark/0.png", cwd=place)
    assert len(re.findall(r"%  class \d$", output, re.MULTILINE)) == 5
    output = succeed("evaluate", CAFFE, "--dataset", "photos", "--split", "train", cwd=place)
    assert "train, center, step 0, 16 images\ntop-1 error" in output


def test_a_caffemodel_reads_squashed_images(place):
    rng = np.random.default_rng(0)
    wide = Image.fromarray(rng.integers(0, 256, (80, 160, 3), dtype=np.uint8))
    wide.save(place / "wide.png")
    size = read_weights(Path(CAFFE)).config.data.image_size
    wide.resize((size, size), Image.Resampling.BICUBIC).save(place / "squashed.png")
    of_wide, of_squashed = (succeed("predict", CAFFE, f"{name}.png", cwd=place) for name in ("wide", "squashed"))
    assert of_wide.replace("wide", "squashed") == of_squashed


def test_evaluate_refuses_other_classes(place):
    (place / "others" / "cat").mkdir(parents=True)
    (place / "others" / "dog").mkdir()
    for kind in ("cat", "dog"):
        for index in range(4):
            Image.new("RGB", (40, 40)).save(place / "others" / kind / f"{index}.png")
    done = alexnet("evaluate", "run", "--dataset", "others", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "alexnet: error: others: has a class 'cat', but the net learned dark, light; remove it\n"


def test_an_exported_net_gives_the_probabilities_that_predict_prints(place):
    picture = place / "photos" / "test" / "light" / "0.png"
    pixels = np.asarray(Image.open(picture).resize((72, 72), Image.Resampling.BICUBIC, (4, 0, 86, 82)))[None]
    printed = re.findall(r"([\d.]+)%  (\w+)", succeed("predict", "run", picture, cwd=place))
    expected = {name: float(percentage) for percentage, name in printed}
    succeed("export", "run", "net.onnx", cwd=place)
    succeed("export", "run", "net.stablehlo", cwd=place)
    session = onnxruntime.InferenceSession(str(place / "net.onnx"), providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["class_names"]) == ["dark", "light"]
    program = jax.export.deserialize(bytearray((place / "net.stablehlo").read_bytes()))
    for logits in (session.run(["logits"], {"images": pixels})[0], program.call(pixels)):
        probabilities = np.asarray(jax.nn.softmax(np.asarray(logits)))[0]
        for label, name in enumerate(("dark", "light")):
            assert 100 * probabilities[label] == pytest.approx(expected[name], abs=0.3)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("convert", f"{TORCH}.pth", "new.safetensors"), 2, "its shapes are those of no named net: pass --variant"),
        (("convert", "net.safetensors", "net.safetensors"), 2, "net.safetensors: already exists"),
        (
            ("convert", "notes.txt", "new.safetensors"),
            2,
            "notes.txt: neither a run directory nor a weights file, which ends in",
        ),
        (("convert", "photos", "new.safetensors"), 1, "photos: holds no run"),
        (
            ("export", "run", "net.safetensors"),
            2,
            r"net.safetensors: unknown format; name a file ending in .onnx or .sta",
        ),
        (("export", "run", "old.onnx"), 2, "old.onnx: already exists"),
        (("predict", "renamed.pth", "photos/test/dark/0.png"), 1, "renamed.pth: was not written by torch.save"),
        (("train", "--init", "no.safetensors"), 1, "no.safetensors: no such file or directory"),
        (
            ("train", "--init", "net.safetensors", "--variant", "paper"),
            2,
            "--variant is paper: --init determines the net",
        ),
        (("train", "--init", "net.safetensors", "--optimizer.frozen", "conv9"), 2, "use one of conv1"),
    ],
)
def test_errors_are_one_line(place, arguments, status, message):
    (place / "renamed.pth").write_bytes((place / "net.safetensors").read_bytes())
    (place / "old.onnx").touch()
    done = alexnet(*arguments, cwd=place)
    assert done.returncode == status, done.stderr
    assert re.fullmatch(rf"alexnet: error: .*{message}.*\n", done.stderr), done.stderr
    assert not (place / "new.safetensors").exists()
