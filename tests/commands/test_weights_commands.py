"""The commands that read and write weights: convert, fine-tune, predict, evaluate, export."""

from __future__ import annotations

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
from tests.helpers.references import REFERENCES

TORCH = REFERENCES / "torch" / "tiny_torchvision"
CAFFE = REFERENCES / "caffe" / "tiny_caffe_alexnet.caffemodel"


def succeed(*arguments, cwd=None):
    done = alexnet(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with photos of two classes, torchvision's tiny net converted, and a run that started from it."""
    place = tmp_path_factory.mktemp("weights")
    rng = np.random.default_rng(1)
    for part, count in (("train", 8), ("test", 3)):
        for label, kind in enumerate(("dark", "light")):
            (place / "photos" / part / kind).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 100, (230, 256, 3), dtype=np.uint8) + np.uint8(150 * label)
                Image.fromarray(pixels).save(place / "photos" / part / kind / f"{index}.jpg")
    output = succeed("convert", f"{TORCH}.pth", place / "net.safetensors", "--variant", "torchvision")
    assert "14,746 parameters" in output
    frozen = ["--optimizer.frozen", "conv1", "conv2", "conv3", "conv4", "conv5"]
    run = ["--data.dataset", "photos", "--workdir", "run", "--epochs", 2, "--batch_size", 8]
    output = succeed(
        "train", "--init", "net.safetensors", *run, *frozen, "--schedule.layer_rates", "fc8", 0, 10, cwd=place
    )
    (place / "output.txt").write_text(output)
    return place


def test_a_run_starts_from_the_file_with_a_new_classifier(place):
    assert "starts from net.safetensors, with a new fc8: 2 classes, not 10" in (place / "output.txt").read_text()
    before, after = read_weights(place / "net.safetensors"), read_weights(place / "run")
    assert after.class_names == ("dark", "light")
    for layer in before.params:
        same = np.array_equal(after.params[layer]["kernel"], before.params[layer]["kernel"])
        assert same == layer.startswith("conv"), layer
    np.testing.assert_array_equal(after.statistics.mean, before.statistics.mean)


def test_a_converted_run_predicts_as_the_run_does(place):
    succeed("convert", "run", "fine.safetensors", cwd=place)
    assert succeed("evaluate", "fine.safetensors", cwd=place) == succeed("evaluate", "run", cwd=place)
    picture = "photos/test/dark/0.jpg"
    assert succeed("predict", "fine.safetensors", picture, cwd=place) == succeed("predict", "run", picture, cwd=place)
    assert re.search(r"^ +[\d.]+%  light$", succeed("predict", "run", picture, cwd=place), re.MULTILINE)
    succeed("convert", "run", "torch.safetensors", "--format", "torchvision", cwd=place)
    assert load_file(place / "torch.safetensors")["classifier.6.weight"].shape == (2, 16)


def test_a_caffemodel_needs_no_conversion(place):
    output = succeed("predict", CAFFE, "photos/test/dark/0.jpg", cwd=place)
    assert len(re.findall(r"%  class \d$", output, re.MULTILINE)) == 5
    output = succeed("evaluate", CAFFE, "--dataset", "photos", "--split", "train", cwd=place)
    assert "train, center, step 0, 16 images\ntop-1 error" in output


def test_evaluate_refuses_other_classes(place):
    (place / "others" / "cat").mkdir(parents=True)
    (place / "others" / "dog").mkdir()
    for kind in ("cat", "dog"):
        for index in range(4):
            Image.new("RGB", (40, 40)).save(place / "others" / kind / f"{index}.png")
    done = alexnet("evaluate", "run", "--dataset", "others", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"alexnet: error: others: class 0 is 'cat', but the net learned 'dark'\n", done.stderr)


def test_an_exported_net_gives_the_probabilities_that_predict_prints(place):
    picture = place / "photos" / "test" / "light" / "0.jpg"
    pixels = np.asarray(Image.open(picture).resize((256, 256), Image.Resampling.BICUBIC, (13, 0, 243, 230)))[None]
    shares = dict(re.findall(r"([\d.]+)%  (\w+)", succeed("predict", "run", picture, cwd=place)))
    shares = {name: float(share) for share, name in shares.items()}
    succeed("export", "run", "net.onnx", cwd=place)
    succeed("export", "run", "net.stablehlo", cwd=place)
    session = onnxruntime.InferenceSession(str(place / "net.onnx"), providers=["CPUExecutionProvider"])
    assert json.loads(session.get_modelmeta().custom_metadata_map["class_names"]) == ["dark", "light"]
    program = jax.export.deserialize(bytearray((place / "net.stablehlo").read_bytes()))
    for logits in (session.run(["logits"], {"images": pixels})[0], program.call(pixels)):
        dark, light = np.asarray(jax.nn.softmax(np.asarray(logits)))[0]
        assert (100 * dark, 100 * light) == (
            pytest.approx(shares["dark"], abs=0.3),
            pytest.approx(shares["light"], abs=0.3),
        )


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("convert", f"{TORCH}.pth", "new.safetensors"), 2, "its shapes are those of no named net: give --variant"),
        (("convert", "net.safetensors", "net.safetensors"), 2, "net.safetensors: exists already"),
        (
            ("convert", "output.txt", "new.safetensors"),
            2,
            "output.txt: neither a run directory nor a weights file, which ends in",
        ),
        (("convert", "photos", "new.safetensors"), 1, "photos: no run is here"),
        (
            ("export", "run", "net.safetensors"),
            2,
            r"net.safetensors: unknown format; name a file ending in .onnx or .sta",
        ),
        (("export", "run", "there.onnx"), 2, "there.onnx: exists already"),
        (("predict", "renamed.pth", "photos/test/dark/0.jpg"), 1, "renamed.pth: was not written by torch.save"),
        (("train", "--init", "no.safetensors"), 1, "no.safetensors: no such file or directory"),
        (
            ("train", "--init", "net.safetensors", "--variant", "paper"),
            2,
            "--variant is paper: the net is that of --init",
        ),
        (("train", "--init", "net.safetensors", "--optimizer.frozen", "conv9"), 2, "use one of conv1"),
    ],
)
def test_errors_are_one_line(place, arguments, status, message):
    (place / "renamed.pth").write_bytes((place / "net.safetensors").read_bytes())
    (place / "there.onnx").touch()
    done = alexnet(*arguments, cwd=place)
    assert done.returncode == status, done.stderr
    assert re.fullmatch(rf"alexnet: error: .*{message}.*\n", done.stderr), done.stderr
    assert not (place / "new.safetensors").exists()
