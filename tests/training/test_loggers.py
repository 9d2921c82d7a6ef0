"""Programs that get the rows of metrics."""

from __future__ import annotations

import struct
import sys
from types import SimpleNamespace

import pytest
from tensorboardX.proto.event_pb2 import Event

from alexnet_jax.errors import UsageError
from alexnet_jax.training.loggers import MetricsLogger, check_logger
from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config

ROW = {"step": 3, "epoch": 0.5, "split": "train", "loss": 2.25, "top1_error": 0.5, "images_per_second": 100.0}
VALUES = {"train/epoch": 0.5, "train/loss": 2.25, "train/top1_error": 0.5, "train/images_per_second": 100.0}
FAST = ["--preset", "quickstart", "--devices", 1, "--batch_size", 4, "--log_every", 2, "--model.image_size", 12]
FAST += ["--data.image_size", 12]


def scalars(directory):
    """The values in TensorBoard's files, in order: the session's first purged step, or the step, name and value."""
    found: list[tuple] = []
    for file in sorted(directory.iterdir()):
        content, start = file.read_bytes(), 0
        while start < len(content):
            (size,) = struct.unpack_from("<Q", content, start)
            event = Event.FromString(content[start + 12 : start + 12 + size])
            start += 16 + size
            if event.HasField("session_log"):
                found.append(("purge", event.step))
            found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
    return found


@pytest.mark.slow
def test_tensorboard_has_the_rows_and_a_resumed_run_purges_the_steps_that_it_takes_again(photos, tmp_path):
    options = ["--workdir", tmp_path / "run", "--data.dataset", photos(splits=("train", "test")), *FAST]
    assert alexnet("train", *options, "--epochs", 1, "--log", "tensorboard").returncode == 0
    assert alexnet("train", *options, "--epochs", 2, "--log", "tensorboard").returncode == 0
    found = scalars(tmp_path / "run" / "tensorboard")
    assert [entry for entry in found if entry[0] == "purge"] == [("purge", 1), ("purge", 5)]
    rows = RunDirectory(tmp_path / "run").read_metrics()
    losses = {(step, name): value for step, name, value in (entry for entry in found if len(entry) == 3)}
    for row in rows:
        assert losses[row["step"], f"{row['split']}/loss"] == pytest.approx(row["loss"], rel=1e-6)
    assert alexnet("train", *options, "--epochs", 1, "--overwrite").returncode == 0
    assert not (tmp_path / "run" / "tensorboard").exists()


@pytest.fixture
def calls(monkeypatch):
    """The calls of stand-ins for the packages wandb and trackio."""
    made = []

    def init(**options):
        made.append(("init", options))
        log = lambda values, step: made.append(("log", step, values))  # noqa: E731
        return SimpleNamespace(log=log, finish=lambda: made.append(("finish",)))

    module = SimpleNamespace(init=init, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "wandb", module)
    monkeypatch.setitem(sys.modules, "trackio", module)
    return made


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_resumed_run_goes_on_in_the_same_run_of_the_program(tmp_path, calls, name):
    (tmp_path / "run").mkdir()
    for start in (0, 3):
        with MetricsLogger(name, tmp_path / "run", tiny_config(), start, pytest.fail) as logger:
            logger.row(ROW)
    assert [call[0] for call in calls] == 2 * ["init", "log", "finish"]
    assert calls[1] == ("log", 3, VALUES)
    first, second = calls[0][1], calls[3][1]
    assert first == second
    assert (first["project"], first["name"], first["resume"]) == ("alexnet_jax", "run", "allow")
    assert first["config"]["batch_size"] == 8


@pytest.mark.parametrize("fails", ["init", "log", "finish"])
def test_an_error_of_the_program_is_a_note_and_the_run_goes_on(tmp_path, monkeypatch, fails):
    def fail(*_, **__):
        raise RuntimeError("no network\nsecond line")

    run = SimpleNamespace(log=lambda values, step: None, finish=lambda: None)
    if fails != "init":
        setattr(run, fails, fail)
    init = fail if fails == "init" else lambda **_: run
    monkeypatch.setitem(sys.modules, "trackio", SimpleNamespace(init=init, __spec__=SimpleNamespace()))
    notes = []
    with MetricsLogger("trackio", tmp_path, tiny_config(), 0, notes.append) as logger:
        logger.row(ROW)
        logger.row(ROW)
    assert notes == ["note      trackio: no network; it gets no more rows, metrics.jsonl has all of them"]


def test_a_missing_package_is_an_error_with_the_command_that_adds_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(UsageError, match="--log trackio needs the package trackio: install it with"):
        check_logger("trackio")
