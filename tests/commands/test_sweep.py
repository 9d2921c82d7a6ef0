"""``alexnet sweep`` and ``alexnet train --seeds``."""

import json
import os
import signal

import pytest

from alexnet_jax.commands import sweep as sweep_command
from alexnet_jax.training.layouts import Layout
from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.command import alexnet
from tests.helpers.short_runs import OPTIONS, fast_runs, write_pictures

SHORT = [*OPTIONS, "--epochs", 1, "--evaluate_every", 1]


@pytest.fixture(scope="module", autouse=True)
def _fast():
    with fast_runs():
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("sweep")
    (place / "photos").mkdir()
    write_pictures(place / "photos")
    return place


@pytest.fixture(scope="module")
def swept(place):
    words = ["--optimizer.learning_rate", "0.001,1e30", "--seeds", 2, "--workdir", "swept", "--quiet"]
    return alexnet("sweep", "--data.dataset", "photos", *SHORT, *words, cwd=place)


def test_a_table_has_the_mean_of_each_setting(swept, place):
    assert (swept.returncode, swept.stderr) == (0, "")
    rows = json.loads((place / "swept" / "sweep.json").read_text())
    assert [(row["setting"]["optimizer.learning_rate"], row["seed"], row["status"]) for row in rows] == [
        ("0.001", 0, "finished"),
        ("0.001", 1, "finished"),
        ("1e30", 0, "diverged"),
        ("1e30", 1, "diverged"),
    ]
    mean = sum(row["top1_error"] for row in rows[:2]) / 2
    first, second = (line for line in swept.stdout.splitlines() if line.startswith("optimizer.learning_rate"))
    assert f"{mean:.2%}" in first
    assert second.split()[2:] == ["2", "-", "-", "2"]
    assert (place / "swept" / "sweep.png").exists()


def test_each_net_has_a_run_that_other_commands_take(swept, place):
    del swept
    run = "swept/optimizer.learning_rate_0.001_seed_1"
    assert RunDirectory(place / run).read_config().seed == 1
    assert alexnet("evaluate", run, cwd=place).returncode == 0


def test_finished_runs_are_not_trained_again(swept, place, monkeypatch):
    def fail(*_, **__):
        pytest.fail("trained")

    monkeypatch.setattr(sweep_command, "train_run", fail)
    words = ["--optimizer.learning_rate", "0.001,1e30", "--seeds", 2, "--workdir", "swept"]
    again = alexnet("sweep", "--data.dataset", "photos", *SHORT, *words, cwd=place)
    assert again.returncode == 0
    assert table_of(again) == table_of(swept)


def test_runs_with_other_options_are_not_taken_for_finished_ones(swept, place):
    del swept
    file = place / "swept" / "sweep.json"
    before = file.read_text()
    words = ["--optimizer.learning_rate", "0.001,1e30", "--seeds", 2, "--workdir", "swept", "--optimizer.momentum", 0.5]
    done = alexnet("sweep", "--data.dataset", "photos", *SHORT, *words, cwd=place)
    assert done.returncode == 2
    assert "--overwrite" in done.stderr
    assert "before" not in done.stdout
    assert file.read_text() == before


def table_of(done):
    return [line for line in done.stdout.splitlines() if line.startswith(("setting", "optimizer.learning_rate"))]


def test_a_stopped_sweep_goes_on_and_train_takes_seeds(place, monkeypatch):
    """The second run is stopped, and has the parameters of a run that is not."""
    words = ["--data.dataset", "photos", *SHORT, "--seeds", 2, "--seed", 5, "--workdir", "stopped"]
    steps = []

    def stop_at_fifth(layout, *arguments):
        steps.append(1)
        if len(steps) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return train_steps(layout, *arguments)

    train_steps = Layout.train_steps
    with monkeypatch.context() as patch:
        patch.setattr(Layout, "train_steps", stop_at_fifth)
        stopped = alexnet("train", *words, cwd=place)
    assert stopped.returncode == 143
    assert "stopped and saved at step 2" in stopped.stdout
    assert "alexnet sweep" in stopped.stdout.splitlines()[-1]
    assert [row["seed"] for row in json.loads((place / "stopped" / "sweep.json").read_text())] == [5]
    done = alexnet("train", *words, cwd=place)
    assert done.returncode == 0
    assert "run 1 of 2: seed 5 (finished before)" in done.stdout
    single = alexnet("train", "--data.dataset", "photos", *SHORT, "--seed", 6, "--workdir", "single", cwd=place)
    assert single.returncode == 0
    rows = [
        [row["loss"] for row in RunDirectory(place / run).read_metrics() if row["split"] == "test"]
        for run in ("stopped/seed_6", "single")
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--seeds 0", "--seeds is 0: use 1 or more"),
        ("--seeds many", "--seeds is many: use a number"),
        ("--workdir s3://bucket/run", "--workdir is 's3://bucket/run': use a directory of this machine"),
        ("--distributed", "a sweep trains in one process"),
        ("--optimizer.learning_rate 0.1,", "a value is empty"),
        ("--optimizer.learning_rat 0.1,0.2", "did you mean --optimizer.learning_rate or"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(tmp_path, words, message):
    done = alexnet("sweep", *words.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_help_fits_a_terminal():
    done = alexnet("sweep", "--help")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
