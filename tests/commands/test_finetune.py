"""``alexnet train --init torchvision_features`` on folders, at 64 pixels."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest
from PIL import Image

import alexnet_jax
from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.command import alexnet
from tests.helpers.trees import assert_same

SMALL = ["--init", "torchvision_features", "--model.image_size", 64, "--data.image_size", 64, "--epochs", 2]
NINE = tuple(f"class{number}" for number in range(9))


def train(folder, workdir, *options):
    return alexnet("train", "--data.dataset", folder, "--workdir", workdir, *SMALL, *options)


def add_class(folder, name, count, colour):
    place = folder / name
    place.mkdir(parents=True)
    for index in range(count):
        Image.fromarray(np.full((40, 40, 3), 10 * colour + index, np.uint8)).save(place / f"{index}.png")


@pytest.mark.slow
@pytest.mark.parametrize(("classes", "devices"), [(NINE, 2), (("cat",), 1)])
def test_a_folder_is_trained_evaluated_and_predicted(tmp_path, classes, devices):
    folder = tmp_path / "photos"
    for label, name in enumerate(classes):
        add_class(folder, name, 5, label)
    add_class(folder, "owl", 1, 20)
    done = train(folder, tmp_path / "run", "--devices", devices)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"note +.*: the classes have 1 \(owl\) to \d \(\w+\) images to train, and 1 of \d+ classes have one",
        done.stdout,
    )
    assert "starts from torchvision_features, with a new fc6, fc7" in done.stdout
    assert f"outputs of pool5 for {5 * len(classes) + 1} images" in done.stdout
    assert alexnet_jax.load_run(tmp_path / "run").config.model.classes == len(classes) + 1
    errors = {}
    for count in (1, 2):
        evaluated = alexnet("evaluate", tmp_path / "run", "--devices", count)
        assert evaluated.returncode == 0, evaluated.stderr
        errors[count] = re.search(r"top-1 error [\d.]+%", evaluated.stdout)[0]
    assert errors[1] == errors[2]
    assert errors[1] in done.stdout  # kept outputs have the errors of images
    predicted = alexnet("predict", tmp_path / "run", folder / "owl" / "0.png")
    assert predicted.returncode == 0, predicted.stderr


@pytest.mark.slow
def test_a_resumed_run_without_its_kept_outputs_is_that_of_an_uninterrupted_one(photos, tmp_path):
    folder = photos()
    whole, parts = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "parts")
    assert train(folder, whole.root, "--epochs", 4, "--schedule.rule", "steps").returncode == 0
    assert train(folder, parts.root, "--schedule.rule", "steps").returncode == 0
    for file in parts.outputs.iterdir():
        file.unlink()
    resumed = alexnet("train", "--workdir", parts.root, "--epochs", 4)
    assert "computed once" in resumed.stdout
    assert_same(*(jax.device_get(alexnet_jax.load_run(run.root).params) for run in (whole, parts)))


@pytest.mark.slow
def test_other_frozen_layers_are_refused_when_a_run_resumes(photos, tmp_path):
    folder = photos()
    assert train(folder, tmp_path / "run").returncode == 0
    done = train(folder, tmp_path / "run", "--optimizer.frozen", "conv1")
    assert done.returncode == 2
    assert "optimizer.frozen was ('conv1', 'conv2'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.slow
def test_convolutions_can_be_trained_and_the_head_can_be_linear(photos, tmp_path):
    options = ["--preset", "finetune_linear", "--optimizer.frozen", "--epochs", 1]
    done = train(photos(), tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    params, start = alexnet_jax.load_run(tmp_path / "run").params, alexnet_jax.pretrained("torchvision_features")[1]
    assert set(params) == {"conv1", "conv2", "conv3", "conv4", "conv5", "fc6"}
    assert not np.array_equal(params["conv1"]["kernel"], start["conv1"]["kernel"])
    assert not (tmp_path / "run" / "outputs").exists()


@pytest.mark.slow
def test_dense_layers_can_read_averages_and_evaluation_uses_the_views_of_the_run(photos, tmp_path):
    options = ["--model.image_size", 96, "--data.image_size", 96, "--model.pool_before_dense", "--epochs", 1]
    done = train(photos(), tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    assert re.search(r"note +batch_size \d+, not 64: that is the number of images to train", done.stdout)
    assert "outputs of pool6 for" in done.stdout
    assert alexnet_jax.load_run(tmp_path / "run").params["fc6"]["kernel"].shape == (256, 1024)  # of 2 x 2 x 256
    evaluated = alexnet("evaluate", tmp_path / "run")
    assert "test, center-flip, step" in evaluated.stdout, evaluated.stderr
    assert re.search(r"top-1 error [\d.]+%", evaluated.stdout)[0] in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--model.convs.0.features", 96], ["--model.max_pool.size", 2]])
def test_weights_of_another_net_are_refused(photos, tmp_path, options):
    done = train(photos(), tmp_path / "run", *options)
    assert done.returncode == 2
    assert done.stderr.startswith(f"alexnet: error: {options[0][2:]}")
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


@pytest.mark.slow
def test_a_thousand_classes(tmp_path):
    for number in range(1000):
        place = tmp_path / "photos" / f"class{number:04}"
        place.mkdir(parents=True)
        for index in range(1 + number % 3):
            Image.fromarray(np.full((8, 8, 3), number % 256, np.uint8)).save(place / f"{index}.png")
    done = train(tmp_path / "photos", tmp_path / "run", "--devices", 2, "--epochs", 1)
    assert done.returncode == 0, done.stderr
    assert "1,000 classes" in done.stdout
    assert re.search(r"\d+ of 1,000 classes have one \(class0000, ", done.stdout)
