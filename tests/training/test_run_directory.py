import dataclasses

import pytest

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.presets import PRESETS, preset
from alexnet_jax.training.run_directory import RunDirectory
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
    other = dataclasses.replace(config, epochs=config.epochs + 1, model=variant("cifar10_plain"))
    with pytest.raises(UsageError, match="holds another run") as error:
        workdir.claim(other, ())
    assert len(str(error.value)) < 500


def test_a_file_is_no_run_directory(tmp_path):
    (tmp_path / "file").touch()
    for place, message in (("file", "it is a file"), ("file/run", "cannot be made")):
        with pytest.raises(AlexNetError, match=message), RunDirectory(tmp_path / place).held():
            pass


def test_only_the_files_of_a_run_are_removed(tmp_path):
    workdir = RunDirectory(tmp_path / "run")
    with workdir.held():
        workdir.claim(preset("quickstart"), ("a",))
        workdir.append_metrics({"step": 1})
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


def test_metrics_are_cut_after_the_step_and_before_a_partial_row(tmp_path):
    workdir = RunDirectory(tmp_path)
    for step in (1, 2, 3):
        workdir.append_metrics({"step": step})
    workdir.metrics.write_text(workdir.metrics.read_text() + '{"step": 4, "lo')
    workdir.keep_metrics_until(2)
    assert workdir.metrics.read_text() == '{"step": 1}\n{"step": 2}\n'


@pytest.mark.parametrize(("change", "best"), [({}, 4), ({"validation_split": "test"}, None)])
def test_the_best_step_has_the_smallest_validation_error_among_the_checkpoints(tmp_path, change, best):
    config = preset("quickstart")
    workdir = RunDirectory(tmp_path)
    workdir.claim(dataclasses.replace(config, data=dataclasses.replace(config.data, **change)), ())
    assert workdir.best_step() is None
    errors = {2: 0.1, 4: 0.2, 6: 0.3, 8: 0.2}
    for step, error in errors.items():
        workdir.append_metrics({"step": step, "split": "test", "top1_error": 0.01 * step})
        workdir.append_metrics({"step": step, "split": "validation", "top1_error": error})
    for step in (4, 6, 10):
        (workdir.checkpoints / str(step)).mkdir(parents=True)
    assert workdir.best_step() == best
