"""``alexnet features``."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

import alexnet_jax
from tests.helpers.command import alexnet
from tests.helpers.run_directories import write_run

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with the run ``run`` and an array of 300 images, /imgBrick of ``stimuli.hdf5``."""
    place = tmp_path_factory.mktemp("features")
    write_run(place / "run", alexnet_jax.preset("quickstart"), CLASSES)
    images = np.random.default_rng(0).integers(0, 256, (300, 40, 40, 3), dtype=np.uint8)
    with h5py.File(place / "stimuli.hdf5", "w") as file:
        file["imgBrick"] = images
    return place


def test_the_text_and_the_json_name_the_arrays(place):
    words = ["features", "run", "stimuli.hdf5:/imgBrick", "--layers", "features.12", "fc6"]
    done = alexnet(*words, "--out", "text.h5", cwd=place)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"features\.12 +pool5 +300 x 3 x 3 x 64\n", done.stdout)
    assert done.stdout.endswith("written   text.h5, and the names of its rows to text.h5.order.txt\n")
    done = alexnet(*words, "--out", "json.h5", "--json", "-", cwd=place)
    found = json.loads(done.stdout)
    assert (found["images"], found["resumed_at"]) == (300, 0)
    assert found["arrays"][1] == {"array": "fc6", "layer": "fc6", "shape": [300, 128]}
    assert json.loads(alexnet(*words, "--out", "json.h5", "--json", "-", cwd=place).stdout)["resumed_at"] == 300
    assert (place / "text.h5").read_bytes() == (place / "json.h5").read_bytes()


@pytest.mark.slow
def test_an_untrained_control_has_other_features(place):
    words = ["features", "run", "stimuli.hdf5:/imgBrick", "--layers", "pool1", "--spatial_mean", "--out"]
    for seed in (1, 2):
        done = alexnet(*words, f"untrained{seed}.npz", "--untrained", seed, cwd=place)
        assert done.returncode == 0, done.stderr
    alexnet(*words, "trained.npz", cwd=place)
    one, two, trained = (np.load(place / f"{name}.npz")["pool1"] for name in ("untrained1", "untrained2", "trained"))
    assert not np.allclose(one, two)
    assert not np.allclose(one, trained)


@pytest.mark.slow
def test_a_read_out_that_is_killed_goes_on_to_the_same_bytes(place):
    """With SIGKILL, at whatever point it has reached."""
    words = ["features", "run", "cifar10_sample", "--split", "train", "--layers", "norm1", "fc6", "--out"]
    command = [sys.executable, "-m", "alexnet_jax", *words, "killed.h5"]
    part = place / "killed.h5.part"
    for _ in range(2):
        process = subprocess.Popen(command, cwd=place, stdout=subprocess.DEVNULL)
        while not part.exists() or part.stat().st_blocks == 0:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (place / "killed.h5").exists()
    assert alexnet(*words, "killed.h5", cwd=place).returncode == 0
    assert alexnet(*words, "whole.h5", cwd=place).returncode == 0
    digests = [hashlib.sha256((place / name).read_bytes()).hexdigest() for name in ("killed.h5", "whole.h5")]
    assert digests[0] == digests[1]


def test_ctrl_c_keeps_the_finished_batches(place, monkeypatch):
    from alexnet_jax.readout import run

    original = run.feature_batches

    def interrupted(*arguments, **options):
        for number, batch in enumerate(original(*arguments, **options)):
            if number == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    words = ["features", "run", "stimuli.hdf5:/imgBrick", "--layers", "pool1", "--out", "stopped.h5"]
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(run, "feature_batches", interrupted)
    done = alexnet(*words, cwd=place)
    signal.signal(signal.SIGTERM, before)
    assert (done.returncode, done.stderr) == (128 + signal.SIGTERM, "")
    assert done.stdout == "stopped; run the same command to resume\n"
    monkeypatch.setattr(run, "feature_batches", original)
    done = alexnet(*words, cwd=place)
    assert "resumed   at image 128" in done.stdout
