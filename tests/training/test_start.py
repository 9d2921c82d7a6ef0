import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from alexnet_jax.config import ScheduleConfig
from alexnet_jax.config.serialize import config_to_json
from alexnet_jax.data.identity import Identity, SplitIdentity
from alexnet_jax.data.source import DataSet
from alexnet_jax.errors import UsageError
from alexnet_jax.hosts.team import Team
from alexnet_jax.training.runs.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.start import (
    absolute_paths,
    check_same_run,
    empty_state,
    fit_to_data,
    prepare_to_resume,
    restore_or_create,
)
from alexnet_jax.training.steps.state import abstract_train_state
from tests.helpers.nets import tiny_config
from tests.helpers.run_directories import write_run
from tests.helpers.sources import Examples

SOURCE = Examples([{"image": np.zeros((72, 72, 3), np.uint8), "label": np.int32(0)}] * 24)
DATA = DataSet(train=SOURCE, validation=None, test=SOURCE, class_names=("a", "b", "c", "d"), where=Path("photos"))


def test_the_config_takes_classes_and_images_from_the_data():
    config = fit_to_data(tiny_config(), DATA, keep_classes=False)
    assert config.model.classes == 4
    assert config.data.train_examples == 24
    assert fit_to_data(tiny_config(), DATA, keep_classes=True).model.classes == 10


def test_too_few_classes_are_refused():
    config = tiny_config()
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, classes=2))
    with pytest.raises(UsageError, match=r"^model\.classes is 2: photos has 4 classes, use at least as many$"):
        fit_to_data(config, DATA, keep_classes=True)


def test_the_plateau_rule_needs_validation_images():
    config = tiny_config(schedule=ScheduleConfig("plateau"))
    with pytest.raises(UsageError, match="nothing is held out to validate on"):
        fit_to_data(config, DATA, keep_classes=False)


def test_a_resume_on_other_versions_prints_one_line(tmp_path):
    config = tiny_config()
    workdir = RunDirectory(write_run(tmp_path, config, ("a",)))  # a checkpoint of step 7
    lines = []

    def resume():
        state = restore_or_create(config, DATA, workdir, lines.append)
        prepare_to_resume(workdir, CheckpointWriter(workdir.checkpoints), int(state.step), 1, "single", lines.append)
        return state

    assert resume().step == 7
    assert lines == []
    entries = json.loads(workdir.versions.read_text())
    workdir.versions.write_text(json.dumps([entries[0] | {"jax": "0.0.1"}]))
    resume()
    assert len(lines) == 1
    assert "jax 0.0.1, now" in lines[0]


def test_paths_become_absolute_and_names_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = dataclasses.replace(tiny_config(), init="run")
    names = absolute_paths(config)
    assert (names.init, names.data.dataset, names.data.data_dir) == ("run", config.data.dataset, None)
    (tmp_path / "run").mkdir()
    data = dataclasses.replace(config.data, dataset="run", data_dir="run")
    paths = absolute_paths(dataclasses.replace(config, data=data))
    assert (paths.init, paths.data.dataset, paths.data.data_dir) == (str(tmp_path / "run"),) * 3


def test_the_weights_of_init_are_not_replaced_by_initial_weights(tmp_path):
    workdir = RunDirectory(tmp_path)
    with pytest.raises(UsageError, match=r"^init is 'weights\.npz': nothing reads these weights; pass start_from"):
        restore_or_create(tiny_config(init="weights.npz"), DATA, workdir, pytest.fail)


class OtherProcess(Team):
    """A process other than the main one, which passes ``texts``."""

    index, count = 1, 2

    def __init__(self, **texts):
        self.texts = texts

    def text_from_main(self, name, text):
        return self.texts[name]


def identity(digest):
    return Identity(("cat", "dog"), {"train": SplitIdentity(2, "", digest)})


def test_processes_with_other_configs_are_refused():
    main, own = tiny_config(), tiny_config(batch_size=16)
    team = OtherProcess(config=config_to_json(main), data=identity("a").to_json())
    with pytest.raises(UsageError) as caught:
        check_same_run(own, identity("a"), team)
    assert str(caught.value) == ("batch_size is 16 and in process 0 8: start all processes with the same command")


def test_processes_with_other_data_are_refused_and_other_places_are_not():
    main = tiny_config()
    own = dataclasses.replace(main, data=dataclasses.replace(main.data, data_dir="/scratch"))
    team = OtherProcess(config=config_to_json(main), data=identity("a").to_json())
    check_same_run(own, identity("a"), team)
    with pytest.raises(UsageError, match=r"not the data of process 0: .*train.*; give all processes the same data"):
        check_same_run(own, identity("b"), team)


def test_an_empty_state_has_the_shapes_of_a_state():
    config = tiny_config()
    empty, like = empty_state(config), abstract_train_state(config)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), empty) == jax.tree.map(
        lambda leaf: (leaf.shape, leaf.dtype), like
    )
