"""A run of a net with batch normalisation: resumed, converted, evaluated."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.weights.read import read_weights
from tests.helpers.command import alexnet
from tests.helpers.trees import assert_same

# two steps in an epoch, on two devices
OPTIONS = ["--preset", "quickstart", "--batch_size", 4, "--data.test_fraction", 0.5, "--evaluate_every", 9]
OPTIONS += ["--model.image_size", 12, "--data.image_size", 12, "--model.convs.0.then", "relu", "max_pool", "batch_norm"]
for _index in range(5):
    OPTIONS += [f"--model.convs.{_index}.features", 4]


def succeed(*arguments, cwd):
    done = alexnet(*arguments, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_resumed_run_has_the_statistics_of_an_uninterrupted_one_and_so_has_its_file(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(8):
            pixels = rng.integers(0, 256, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    train = ["train", "--data.dataset", "photos", *OPTIONS]
    succeed(*train, "--workdir", "once", "--epochs", 2, cwd=tmp_path)
    for epochs in (1, 2):
        succeed(*train, "--workdir", "twice", "--epochs", epochs, cwd=tmp_path)
    once, twice = (read_weights(tmp_path / name) for name in ("once", "twice"))
    assert_same((twice.params, twice.batch_stats), (once.params, once.batch_stats))
    assert np.all(once.batch_stats["bn2"]["mean"] != 0)
    succeed("convert", "twice", "net.safetensors", cwd=tmp_path)
    assert succeed("evaluate", "net.safetensors", cwd=tmp_path) == succeed("evaluate", "once", cwd=tmp_path)
