"""A run on many devices, by the command."""

from __future__ import annotations

import subprocess

import pytest

from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.processes import ALEXNET


def train(workdir, folder, *options):
    command = [*ALEXNET, "train", "--preset", "quickstart", "--batch_size", "4", "--data.dataset", str(folder)]
    done = subprocess.run([*command, "--workdir", str(workdir), *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_run_on_a_mesh_continues_on_one_device(photos, tmp_path):
    folder = photos(per_class=12)
    first = train(tmp_path / "run", folder, "--epochs", "1", "--layout", "mesh", "--data_parallel", "2")
    assert "4 x cpu, half of every layer, its velocity and 1/2 of each batch (--layout mesh) on each" in first
    second = train(tmp_path / "run", folder, "--epochs", "2", "--layout", "single")
    assert "resumes at step" in second
    assert "the run used 4 device(s), now 1, layout mesh, now single" in " ".join(second.split())
    rows = RunDirectory(tmp_path / "run").read_metrics()
    assert [row["split"] for row in rows].count("test") == 2


def test_a_batch_that_the_devices_cannot_share_is_refused_with_sizes_that_would_do(photos, tmp_path):
    command = [*ALEXNET, "train", "--data.dataset", str(photos()), "--workdir", str(tmp_path / "run")]
    command += ["--preset", "quickstart", "--batch_size", "10", "--layout", "data", "--devices", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "batch_size is 10: 4 devices cannot take equal parts of its images, use --batch_size 8 or 12" in done.stderr
