"""Every command that a message suggests works as printed. ``IMAGE`` and ``NET`` stand for files of the user."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from alexnet_jax.__main__ import COMMANDS
from alexnet_jax.commands.prepare import main as prepare
from alexnet_jax.commands.train_report import report_end, report_stop
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.errors import AlexNetError
from alexnet_jax.hints import command
from alexnet_jax.training import loop
from alexnet_jax.training.layouts import choose_layout
from alexnet_jax.training.loop import Result
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.start import fit_to_data
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.references import REFERENCES
from tests.helpers.run_directories import write_run

PROGRAM = command()


def advised(text: str) -> list[list[str]]:
    """The arguments of every ``alexnet`` command in ``text``: between backticks, or on a line of its own."""
    found = re.findall(rf"`{re.escape(PROGRAM)} ([^`]+)`|^{re.escape(PROGRAM)} (.+)$", text, re.MULTILINE)
    assert found, text
    return [shlex.split(quoted or line) for quoted, line in found]


def run(*arguments: str, cwd: Path | None = None) -> str:
    done = alexnet(*arguments, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture
def runs_that_start(monkeypatch) -> list:
    """Makes ``alexnet train`` end where its first step would start. Returns the configs of the runs so far."""
    configs = []

    def start(config, workdir, console, *, devices, keep_classes, **_):
        data = open_dataset(config.data, config.model.channels)
        config = fit_to_data(config, data, keep_classes)
        choose_layout(config, devices)
        workdir.root.mkdir(parents=True, exist_ok=True)
        workdir.claim(config, data.class_names)
        configs.append(config)
        return Result(0, 0, "", stopped_by=2)

    monkeypatch.setattr(loop, "train", start)
    return configs


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_shown_where_an_error_says_so(name):
    (help_command,) = advised(alexnet(name, "--zzz").stderr)
    assert help_command[-1] == "--help"
    assert "usage: alexnet" in run(*help_command)


def test_an_option_without_a_value_leads_to_the_help():
    (help_command,) = advised(alexnet("train", "--preset").stderr)
    assert "usage: alexnet train" in run(*help_command)


@pytest.mark.parametrize(
    ("dataset", "page"), [("imagenet2012", "imagenet2012"), ("imagenet2010_256", "imagenet2010"), ("zzz", "")]
)
def test_an_unknown_data_set_leads_to_prepare(dataset, page, tmp_path):
    error = alexnet("train", "--data.dataset", dataset, "--data.data_dir", tmp_path, cwd=tmp_path).stderr
    (help_command,) = advised(error)
    assert f"usage: alexnet prepare {page}".strip() in run(*help_command)


def test_a_directory_without_a_run_leads_to_train(tmp_path, runs_that_start):
    with pytest.raises(AlexNetError) as error:
        RunDirectory(tmp_path / "new run").read_config()
    (train,) = advised(str(error.value))
    assert alexnet(*train).returncode == 130
    assert len(runs_that_start) == 1


def test_a_damaged_image_leads_to_a_data_set_without_it_which_trains(photos, tmp_path, monkeypatch, runs_that_start):
    monkeypatch.chdir(tmp_path)
    folder = photos(per_class=40)
    (folder / "cat" / "3.png").write_bytes(b"not an image")
    data = open_dataset(dataclasses.replace(tiny_config().data, dataset=str(folder)), 3)
    with pytest.raises(AlexNetError) as error:
        [part[index] for part in (data.train, data.test) for index in range(len(part))]
    (prepare_folder,) = advised(str(error.value))
    (train,) = advised(run(*prepare_folder))
    assert alexnet(*train).returncode == 130
    assert sum(config.data.train_examples for config in runs_that_start) < 80


@pytest.mark.parametrize("size", [16, 32, 128, 300])
def test_a_prepared_folder_leads_to_a_run_on_it(size, photos, tmp_path, monkeypatch, capsys, runs_that_start):
    monkeypatch.chdir(tmp_path)
    photos("pictures", per_class=70, splits=("train", "test", "validation"))
    prepare(["folder", "--source", "pictures", "--data_dir", "my data", "--image_size", str(size)])
    (train,) = advised(capsys.readouterr().out)
    done = alexnet(*train)
    assert (done.returncode, done.stderr) == (130, "")
    assert runs_that_start[0].data.image_size == size


def test_the_weights_of_another_net_lead_to_convert_and_then_train(tmp_path, runs_that_start):
    weights = REFERENCES / "torch" / "tiny_torchvision.pth"
    (convert,) = advised(alexnet("train", "--init", weights, "--variant", "torchvision", cwd=tmp_path).stderr)
    run(*convert, cwd=tmp_path)
    assert alexnet("train", "--init", convert[2], cwd=tmp_path).returncode == 130
    assert runs_that_start[0].init == convert[2]


def test_a_finished_and_a_stopped_run_lead_to_predict_and_train(photos, tmp_path, monkeypatch, capsys, runs_that_start):
    monkeypatch.chdir(tmp_path)
    folder = photos(per_class=8)
    config = tiny_config(model=tiny_model("single_tower", classes=2))
    data = dataclasses.replace(config.data, dataset=str(folder), train_examples=14)
    workdir = RunDirectory(write_run(tmp_path / "my run", dataclasses.replace(config, data=data), ("cat", "dog")))
    report_end(Console(), workdir, Result(7, 7, "0" * 64, None))
    report_stop(workdir, Result(7, 7, "0" * 64, 2))
    predict, more, resume = advised(capsys.readouterr().out)
    image = next((folder / "cat").iterdir())
    assert "%" in run(*[str(image) if word == "IMAGE" else word for word in predict])
    for train in (resume, more):
        done = alexnet(*train)
        assert (done.returncode, done.stderr) == (130, "")
    assert [start.epochs for start in runs_that_start] == [config.epochs, 2 * config.epochs]


def test_extras_that_messages_name_exist():
    root = Path(__file__).parents[1]
    text = "".join(path.read_text(encoding="utf-8") for path in (root / "alexnet_jax").rglob("*.py"))
    extras = set(re.findall(r'require_package\([^)]*"(\w+)"\)', text))
    assert extras
    for extra in extras:
        assert re.search(rf"^{extra} = \[", (root / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
