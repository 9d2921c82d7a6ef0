"""Whole runs on data that are degenerate, damaged or changed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.training.run_directory import RunDirectory
from tests.helpers.command import alexnet

FAST = ["--preset", "quickstart", "--batch_size", 8, "--epochs", 2, "--log_every", 1, "--devices", 1]


def train(workdir, folder, *options):
    return alexnet("train", "--workdir", workdir, "--data.dataset", folder, *FAST, *options)


@pytest.mark.parametrize(("constant", "named"), [([2], "2"), ([0, 1, 2], "0 and 1 and 2")])
def test_constant_channels_give_finite_numbers_and_a_note(photos, tmp_path, constant, named):
    folder = photos(splits=("train", "test"))
    for file in folder.rglob("*.png"):
        pixels = np.array(Image.open(file))
        pixels[..., constant] = 100
        Image.fromarray(pixels).save(file)
    done = train(tmp_path / "run", folder, "--augment.divide_by_stddev", "--augment.pca_colour_noise", 0.1)
    assert done.returncode == 0, done.stderr
    assert f"\nnote      channel {named} of the training images is constant (channels count from 0)\n" in done.stdout
    assert all(math.isfinite(row["loss"]) for row in RunDirectory(tmp_path / "run").read_metrics())
