"""The run that ``alexnet train`` starts from."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from alexnet_jax.commands.starting_run import StartingRun, starting_run
from alexnet_jax.commands.train_help import parse_common
from alexnet_jax.config.serialize import config_to_json
from alexnet_jax.errors import UsageError
from alexnet_jax.presets import preset
from alexnet_jax.training.runs.run_directory import RunDirectory


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")


def start(*arguments: object) -> StartingRun:
    return starting_run(parse_common([str(argument) for argument in arguments]))


def test_quickstart_is_the_default():
    run = start("--seed", 1)
    assert run.config.model == preset("quickstart").model
    assert (run.workdir.root.as_posix(), run.notes, run.keeps_classes) == ("runs/quickstart", (), False)


def test_folder_of_photos_gets_the_photos_preset_and_a_note(photos):
    run = start("--data.dataset", photos())
    assert run.config.model == preset("photos").model
    assert run.config.data.image_size == 128
    assert run.workdir.root.as_posix() == "runs/photos"
    assert run.notes == ("preset photos, because the data set is a folder; --preset quickstart is for 32-pixel images",)
    chosen = start("--data.dataset", photos("more"), "--preset", "quickstart")
    assert (chosen.config.model, chosen.notes) == (preset("quickstart").model, ())


def test_variant_gets_the_learning_rate_of_the_preset_that_trains_it():
    run = start("--variant", "paper")
    assert run.config.optimizer.learning_rate == preset("imagenet_paper").optimizer.learning_rate == 0.01
    assert run.config.data.image_size == 256
    assert run.notes == (
        "learning rate 0.01 for paper, where quickstart has 0.02; --optimizer.learning_rate sets another",
    )
    small = start("--preset", "imagenet_paper", "--variant", "small")
    assert (small.config.optimizer.learning_rate, len(small.notes)) == (0.02, 1)
    assert start("--variant", "small").notes == ()


def test_config_file_changes_some_fields_of_the_preset(tmp_path):
    file = tmp_path / "slow.json"
    file.write_text(json.dumps({"epochs": 3, "optimizer": {"momentum": 0.5}, "schedule": {"epochs": [1, 2]}}))
    run = start("--config", file)
    assert (run.config.epochs, run.config.optimizer.momentum, run.config.schedule.epochs) == (3, 0.5, (1, 2))
    assert run.config.optimizer.learning_rate == 0.02
    assert run.workdir.root.as_posix() == "runs/slow"
    assert start("--config", file, "--preset", "imagenet_paper").config.optimizer.learning_rate == 0.01


def test_config_of_a_run_replaces_the_preset(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(config_to_json(preset("imagenet_original")))
    config = start("--config", file).config
    assert config.data.train_examples is None  # the data set decides
    assert config.model == preset("imagenet_original").model
    assert config.schedule == preset("imagenet_original").schedule


def test_a_number_of_classes_counts_even_if_it_is_the_default(tmp_path):
    chosen, other = tmp_path / "chosen.json", tmp_path / "other.json"
    chosen.write_text('{"model": {"classes": 10}}')
    other.write_text('{"model": {"image_size": 32}}')
    of_a_run = tmp_path / "config.json"
    of_a_run.write_text(config_to_json(preset("quickstart")))
    assert preset("quickstart").model.classes == 10
    for arguments, keeps in (
        (["--model.classes", 10], True),
        (["--model.classes=10"], True),
        (["--config", chosen], True),
        (["--config", chosen, "--variant", "small"], False),
        (["--config", other], False),
        (["--config", of_a_run], False),  # taken from its data set
        ([], False),
    ):
        assert start(*arguments).keeps_classes == keeps, arguments


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"optimizer": {"learning_rat": 1}}',
            "unknown field 'optimizer.learning_rat': did you mean optimizer.",
        ),
        ('{"epochs": "many"}', "epochs is 'many': use a whole number"),
        ("[]", "not a JSON object"),
        ("{", "Expecting property name"),
        (None, "no such file or directory"),
    ],
)
def test_unusable_config_file_is_refused(tmp_path, text, message):
    file = tmp_path / "bad.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=re.escape(f"--config is {file}: {message}")):
        start("--config", file)


def test_overwrite_starts_afresh_and_keeps_what_the_run_starts_from(tmp_path):
    workdir = RunDirectory(tmp_path / "run")
    workdir.root.mkdir()
    workdir.claim(dataclasses.replace(preset("quickstart"), seed=9), ())
    (workdir.checkpoints / "4").mkdir(parents=True)
    assert start("--workdir", workdir.root).config.seed == 9
    fresh = start("--workdir", workdir.root, "--overwrite")
    assert fresh.config.seed == 0
    assert start("--workdir", workdir.root, "--overwrite", "--config", workdir.config).config.seed == 9
    with pytest.raises(UsageError, match="--overwrite would delete it; use another --workdir"):
        start("--workdir", workdir.root, "--overwrite", "--init", workdir.root)


def test_weights_without_dense_layers_get_the_preset_finetune(photos):
    run = start("--init", "torchvision_features", "--data.dataset", photos())
    expected = preset("finetune")
    assert (run.config.model, run.config.optimizer) == (expected.model, expected.optimizer)
    assert (run.config.init, run.config.kept_layer) == ("torchvision_features", "pool5")
    assert run.notes == (
        "preset finetune, because torchvision_features has no dense layers; --preset finetune_linear has no hidden "
        "layer",
    )
    chosen = start("--init", "torchvision_features", "--preset", "finetune_linear")
    assert chosen.config.model.dense == ()
