import dataclasses
import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.console.plots import draw_curves
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.presets import PRESETS, preset
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.variants import variant


@pytest.mark.parametrize("name", PRESETS)
def test_config_survives_a_round_trip_through_the_run_directory(tmp_path, name):
    workdir = RunDirectory(tmp_path)
    workdir.claim(preset(name), ("a", "b"))
    assert workdir.read_config() == preset(name)
    assert hash(workdir.read_config()) == hash(preset(name))
    assert workdir.read_classes() == ("a", "b")


def test_run_directory_accepts_more_epochs_and_no_other_change(tmp_path):
    workdir, config = RunDirectory(tmp_path), preset("quickstart")
    workdir.claim(dataclasses.replace(config, seed=9), ())
    workdir.claim(config, ())  # no checkpoint yet, so any config may replace it
    (workdir.checkpoints / "4").mkdir(parents=True)
    workdir.claim(dataclasses.replace(config, epochs=config.epochs + 1, log_every=7), ())
    assert workdir.read_config().epochs == config.epochs + 1
    for change in ({"epochs": config.epochs}, {"seed": 5}, {"optimizer": OptimizerConfig(momentum=0.5)}):
        with pytest.raises(UsageError, match=rf"{next(iter(change))}.* was .* and is now .*"):
            workdir.claim(dataclasses.replace(config, **({"epochs": config.epochs + 1} | change)), ())
    other = dataclasses.replace(config, epochs=config.epochs + 1, model=variant("cifar10_conv_relu"))
    with pytest.raises(UsageError, match="holds another run") as error:
        workdir.claim(other, ())
    assert len(str(error.value)) < 500


def test_a_relative_path_of_an_earlier_version_is_the_same_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    workdir, config = RunDirectory(tmp_path), preset("quickstart")
    workdir.claim(dataclasses.replace(config, init="net.safetensors"), ())
    (workdir.checkpoints / "4").mkdir(parents=True)
    workdir.claim(dataclasses.replace(config, init=str(tmp_path / "net.safetensors")), ())
    with pytest.raises(UsageError, match="init was"):
        workdir.claim(config, ())


def test_a_file_is_no_run_directory(tmp_path):
    (tmp_path / "file").touch()
    for place, message in (("file", "it is a file"), ("file/run", "cannot be made")):
        with pytest.raises(AlexNetError, match=message), RunDirectory(tmp_path / place).held():
            pass


def test_a_missing_config_beside_checkpoints_is_not_an_empty_directory(tmp_path):
    workdir = RunDirectory(tmp_path)
    with pytest.raises(AlexNetError, match="holds no run"):
        workdir.read_config()
    (workdir.checkpoints / "4").mkdir(parents=True)
    with pytest.raises(AlexNetError, match=r"config\.json: is missing, and the run has checkpoints; restore it"):
        workdir.read_config()


def test_only_the_files_of_a_run_are_removed(tmp_path):
    workdir = RunDirectory(tmp_path / "run")
    with workdir.held():
        workdir.claim(preset("quickstart"), ("a",))
        workdir.append_metrics(row(1))
        workdir.curves.touch()
        for name in ("4", "3.damaged", "2.deleted", "mine"):
            (workdir.checkpoints / name).mkdir(parents=True)
        (workdir.root / "notes.txt").write_text("mine")
        workdir.remove_run()
        assert {file.name for file in workdir.root.rglob("*")} == {
            "notes.txt",
            "checkpoints",
            "mine",
            "lease.json",
            ".lease.lock",
        }


def row(step, split="train", top1_error=0.5):
    numbers = dict.fromkeys(("epoch", "loss", "top5_error", "learning_rate"), 0.25)
    return {"step": step, "split": split, "top1_error": top1_error} | numbers


def test_metrics_are_cut_after_the_step_and_before_a_partial_row(tmp_path):
    workdir = RunDirectory(tmp_path)
    for step in (1, 2, 3):
        workdir.append_metrics(row(step))
    with workdir.metrics.open("a") as file:
        file.write('{"step": 4, "lo')
    assert workdir.read_metrics() == [row(1), row(2), row(3)]
    workdir.keep_metrics_until(2, pytest.fail)
    assert workdir.metrics.read_text() == "".join(json.dumps(row(step)) + "\n" for step in (1, 2))


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"\xff\xfe",
        b"[1]",
        b"7",
        b'{"split": "train"}',
        b'{"step": "1"}',
        b"",
        b'{"step": 1, "split": 2}',
        b"[" * 9999,
    ],
)
def test_a_bad_line_costs_no_other_row(tmp_path, line):
    workdir = RunDirectory(tmp_path)
    lines = [json.dumps(row(step)).encode() for step in (1, 2, 3)]
    workdir.metrics.write_bytes(b"\n".join([lines[0], line, *lines[1:]]) + b"\n")
    assert workdir.read_metrics() == [row(1), row(2), row(3)]
    draw_curves(workdir.read_metrics(), preset("quickstart"), workdir.curves)
    warnings = []
    workdir.keep_metrics_until(2, warnings.append)
    assert len(warnings) == 1
    assert "metrics.jsonl: line 2 is not a row of metrics and is left out" in warnings[0]
    assert len(warnings[0].splitlines()) == 1
    assert workdir.read_metrics() == [row(1), row(2)]
    workdir.keep_metrics_until(2, pytest.fail)


def test_metrics_that_the_system_cannot_read_are_not_rewritten(tmp_path, monkeypatch):
    workdir = RunDirectory(tmp_path)
    workdir.append_metrics(row(1))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", Mock(side_effect=OSError(errno.EIO, "Input/output error")))
        with pytest.raises(AlexNetError, match=r"cannot be read .Input/output error.; nothing was changed"):
            workdir.keep_metrics_until(0, pytest.fail)
    assert workdir.read_metrics() == [row(1)]


def test_a_directory_in_the_place_of_the_metrics_is_an_error_with_a_remedy(tmp_path):
    workdir = RunDirectory(tmp_path)
    workdir.metrics.mkdir()
    with pytest.raises(AlexNetError, match=r"Is a directory.; nothing was changed; make it readable, or restore it"):
        workdir.read_metrics()


@pytest.mark.parametrize("content", ["", "{}", "[1]", '[{"jax": "1"}]', "[[", "\ud800"])
def test_unreadable_versions_are_written_again(tmp_path, content):
    workdir = RunDirectory(tmp_path)
    workdir.versions.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert workdir.record_versions(3, 1, "single") is None
    assert json.loads(workdir.versions.read_text())[0]["from_step"] == 3


def test_names_of_classes_are_utf8_in_any_locale(tmp_path):
    code = """
import sys; from pathlib import Path; from alexnet_jax.training.runs.run_directory import RunDirectory
assert RunDirectory(Path(sys.argv[1])).read_classes() == ("\\u732b", "Hund\\u2028", "\\xe9")
"""
    RunDirectory(tmp_path).classes.write_bytes("猫\nHund\u2028\né\n".encode())
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, tmp_path], env=environment, check=True)
    RunDirectory(tmp_path).classes.write_bytes(b"\xff\n")
    with pytest.raises(AlexNetError, match=r"classes\.txt: cannot be read"):
        RunDirectory(tmp_path).read_classes()


@pytest.mark.parametrize(("change", "best"), [({}, 4), ({"validation_split": "test"}, None)])
def test_the_best_step_has_the_smallest_validation_error_among_the_checkpoints(tmp_path, change, best):
    data = dataclasses.replace(preset("quickstart").data, **change)
    workdir = RunDirectory(tmp_path)
    assert workdir.best_step(data) is None
    errors = {2: 0.1, 4: 0.2, 6: 0.3, 8: 0.2}
    for step, error in errors.items():
        workdir.append_metrics(row(step, "test", 0.01 * step))
        workdir.append_metrics(row(step, "validation", error))
    for step in (4, 6, 10):
        (workdir.checkpoints / str(step)).mkdir(parents=True)
    assert workdir.best_step(data) == best
