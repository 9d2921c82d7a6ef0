"""Runs that end before their time: by a signal, an error, or a number that is not finite."""

from __future__ import annotations

import functools
import os
import re
import signal

import jax
import numpy as np
import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.training import dispatch, held_examples
from alexnet_jax.training.layouts import Layout
from alexnet_jax.training.runs.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.runs.run_directory import RunDirectory, checkpoint_steps
from tests.helpers import short_runs
from tests.helpers.command import alexnet
from tests.helpers.short_runs import fast_runs, write_pictures

OPTIONS = [*short_runs.OPTIONS, "--schedule.rule", "plateau", "--schedule.patience", 1]
OPTIONS += ["--optimizer.learning_rate", 0.001]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module", autouse=True)
def _fast():
    with fast_runs():
        yield


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def train(data, run):
    return lambda *options: alexnet("train", "--workdir", run.root, "--data.dataset", data, *OPTIONS, *options)


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    """The parameters and the rows of a run that nothing interrupts."""
    workdir = tmp_path_factory.mktemp("expected")
    return result_of(alexnet("train", "--workdir", workdir, "--data.dataset", data, *OPTIONS), RunDirectory(workdir))


def result_of(done, run):
    """The parameters and the rows of a finished run, without what is measured."""
    assert (done.returncode, done.stderr) == (0, "")
    rows = [
        {name: row[name] for name in row.keys() - {"images_per_second", "input_wait", "time"}}
        for row in run.read_metrics()
    ]
    return re.search("SHA-256 (.*)", done.stdout)[1], rows


def evaluations(run):
    return [(row["step"], row["split"]) for row in run.read_metrics() if row["split"] != "train"]


def at_call(number, action, function):
    """``function``, but ``action`` runs before its call of this number."""
    calls = []

    def called(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            action(*arguments)
        return function(*arguments, **options)

    return called


def fail(error, *_):
    raise error


def interrupt(*_):
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("epochs", [3, 4])
def test_an_extended_run_equals_a_run_of_its_length(train, run, expected, epochs):
    """The last evaluation of four epochs is also one of five, that of three epochs is not."""
    assert train("--epochs", epochs).returncode == 0
    digest, rows = result_of(train(), run)
    assert digest == expected[0]
    assert [row for row in rows if row["step"] != 9 or row["split"] == "train"] == expected[1]
    assert rows[-1]["learning_rate"] < 0.001  # it dropped at the last regular evaluation


@pytest.mark.parametrize(("call", "rows"), [(1, []), (3, ["validation"])])
def test_a_signal_ends_an_evaluation_between_two_batches(train, run, expected, monkeypatch, call, rows):
    evaluate = at_call(call, interrupt, Layout.eval_step)
    with monkeypatch.context() as patch:
        patch.setattr(Layout, "eval_step", evaluate)
        stopped = train()
    assert (stopped.returncode, stopped.stderr) == (143, "")
    assert "stopped and saved at step 6; to resume:" in stopped.stdout
    assert [split for _, split in evaluations(run)] == rows
    assert result_of(train(), run) == expected


@pytest.mark.parametrize("error", [MemoryError("no memory"), AlexNetError("photo.png: damaged")])
def test_an_evaluation_that_fails_loses_nothing(train, run, expected, monkeypatch, error):
    with monkeypatch.context() as patch:
        patch.setattr(Layout, "eval_step", at_call(2, functools.partial(fail, error), Layout.eval_step))
        failed = train()
    assert failed.returncode == 1
    assert len(failed.stderr.splitlines()) == 1
    assert checkpoint_steps(run.checkpoints) == [4, 6]
    assert result_of(train(), run) == expected


@pytest.fixture
def _streamed(monkeypatch):
    """No images fit on the devices, so that each batch is read."""
    monkeypatch.setattr(held_examples, "MOST_REMEMBERED", 0)


@pytest.mark.usefixtures("_streamed")
def test_an_error_in_the_data_saves_the_steps_before_it(train, run, expected, monkeypatch):
    def read(*arguments, **options):
        for step, batch in enumerate(batches(*arguments, **options)):
            if step == 10:
                raise AlexNetError("photo.png: damaged")
            yield batch

    batches = dispatch.training_batches
    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "training_batches", read)
        failed = train("--log_every", 100)
    assert (failed.returncode, failed.stderr) == (1, "alexnet: error: photo.png: damaged\n")
    assert checkpoint_steps(run.checkpoints)[-1] == 10
    assert run.read_metrics()[-1]["step"] == 10
    assert result_of(train(), run)[0] == expected[0]


def test_a_full_disk_in_a_row_saves_the_step_before_it(train, run, expected, monkeypatch):
    error = OSError(28, "No space left on device")
    with monkeypatch.context() as patch:
        patch.setattr(
            RunDirectory, "append_metrics", at_call(3, functools.partial(fail, error), RunDirectory.append_metrics)
        )
        failed = train()
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    assert checkpoint_steps(run.checkpoints) == [3]
    assert result_of(train(), run)[0] == expected[0]


def test_a_failed_step_whose_state_is_lost_keeps_the_last_checkpoint(train, run, expected, monkeypatch):
    def lose(layout, state, *_):
        jax.tree.map(lambda leaf: leaf.delete(), state)
        raise RuntimeError("the device is out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(Layout, "train_steps", at_call(8, lose, Layout.train_steps))
        failed = train()
    assert failed.returncode == 1
    assert "the device is out of memory" in failed.stderr
    assert checkpoint_steps(run.checkpoints) == [4, 6]
    assert result_of(train(), run) == expected


def spoiled(state):
    return state.replace(params=jax.tree.map(lambda leaf: leaf * np.float32("nan"), state.params))


def test_parameters_that_are_not_finite_are_not_saved(train, run, monkeypatch):
    """The loss of the last step is still finite, because it was computed before the update."""

    def spoil(layout, state, batches, key):
        state, metrics = train_steps(layout, state, batches, key)
        return (spoiled(state) if int(state.step) == 15 else state), metrics

    train_steps = Layout.train_steps
    monkeypatch.setattr(Layout, "train_steps", spoil)
    failed = train()
    assert failed.returncode == 1
    assert re.fullmatch(
        r"alexnet: error: the parameters or the state of the optimizer are not finite numbers after step 15: the run "
        r"diverged, .*--optimizer\.learning_rate below 0\.001\n",
        failed.stderr,
    )
    assert "finished" not in failed.stdout
    assert checkpoint_steps(run.checkpoints)[-1] == 12
    assert run.best_step(run.read_config().data) <= 12


def test_a_loss_that_is_not_finite_saves_nothing(train, run):
    failed = train("--optimizer.learning_rate", 1e30, "--log_every", 100)
    assert failed.returncode == 1
    assert re.fullmatch(
        r"alexnet: error: the loss is (nan|inf) at step [23]: the run diverged, .*--optimizer\.learning_rate below "
        r"1e\+30\n",
        failed.stderr,
    )
    assert checkpoint_steps(run.checkpoints) == []


@pytest.fixture
def no_labels(_streamed, monkeypatch):
    """Gives the batches of some steps labels without a class, so that their losses are not numbers."""
    train_steps = Layout.train_steps

    def spoil(*steps):
        def spoiled(layout, state, batches, key):
            if int(state.step) + 1 in steps:
                batches = [batch | {"label": batch["label"] + 100} for batch in batches]
            return train_steps(layout, state, batches, key)

        monkeypatch.setattr(Layout, "train_steps", spoiled)

    return spoil


def test_a_batch_whose_loss_is_not_finite_is_skipped_and_counted(train, run, no_labels):
    no_labels(5, 6, 8)
    done = train("--on_nan", "skip", "--log_every", 2)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [row for row in run.read_metrics() if row["split"] == "train"]
    counts = {row["step"]: (row["steps"], row["skipped"]) for row in rows}
    assert counts == {2: (2, 0), 4: (2, 0), 8: (1, 3), 10: (2, 0), 12: (2, 0), 14: (2, 0), 15: (1, 0)}
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert "note      2 of 2 steps skipped, loss or gradients not finite: 5, 6\n" in done.stdout
    assert "note      1 of 2 steps skipped, loss or gradients not finite: 8\n" in done.stdout


def test_a_run_that_stopped_at_a_loss_that_is_not_finite_goes_on_without_the_batch(train, run, no_labels):
    no_labels(6)
    failed = train()
    assert failed.returncode == 1
    assert failed.stderr.startswith("alexnet: error: the loss is nan at step 6: the run diverged")
    done = train("--on_nan", "skip")
    assert (done.returncode, done.stderr) == (0, "")
    assert "resumes at step 4" in done.stdout
    assert sum(row.get("skipped", 0) for row in run.read_metrics()) == 1


@pytest.mark.parametrize(
    ("first", "found"),
    [(1, "after step 0 were skipped, before any update: use"), (6, "after step 5 were skipped: the")],
)
def test_a_run_that_skips_every_batch_of_an_epoch_ends(train, run, no_labels, first, found):
    no_labels(*range(first, 100))
    failed = train("--on_nan", "skip")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"alexnet: error: all 3 steps {found}")
    assert all(row["step"] < first for row in run.read_metrics() if row["split"] == "train")


def test_an_evaluation_that_is_not_finite_keeps_the_checkpoint_before(train, run, monkeypatch):
    def spoil(layout, state, *arguments):
        return eval_step(layout, spoiled(state), *arguments)

    eval_step = Layout.eval_step
    monkeypatch.setattr(Layout, "eval_step", spoil)
    failed = train()
    assert failed.returncode == 1
    assert re.fullmatch(
        r"alexnet: error: the loss on validation images is not a finite number after step 6: the run diverged, .*\n",
        failed.stderr,
    )
    assert checkpoint_steps(run.checkpoints) == [4]
    assert evaluations(run) == []


def test_a_checkpoint_that_is_not_finite_is_neither_finished_nor_resumed(train, run, monkeypatch):
    save = CheckpointWriter.save
    with monkeypatch.context() as patch:  # such as a program without the check would write
        patch.setattr(CheckpointWriter, "save", lambda writer, state, keep: save(writer, spoiled(state), keep))
        train("--epochs", 1)
    failed = train("--epochs", 1)
    assert failed.returncode == 1
    assert "error: the checkpoint of step 3 holds numbers that are not finite: the run diverged" in failed.stderr
    assert "finished" not in failed.stdout


def test_at_most_two_steps_are_in_flight(train, monkeypatch):
    dispatched, waited_for = [], []

    def step(*arguments):
        assert len(dispatched) - len(waited_for) <= 2
        state, metrics = train_steps(*arguments)
        dispatched.append(metrics)
        return state, metrics

    def wait_for(values):
        waited_for.append(values)
        return wait(values)

    train_steps, wait = Layout.train_steps, jax.block_until_ready
    monkeypatch.setattr(Layout, "train_steps", step)
    monkeypatch.setattr(jax, "block_until_ready", wait_for)
    assert train().returncode == 0
    assert [id(metrics) for metrics in waited_for] == [id(metrics) for metrics in dispatched[:-2]]


@pytest.mark.parametrize(
    ("options", "saved"),
    [
        ([], r"step 3, the latest, and step 3, the best on validation images \(--checkpoint best\)"),
        (
            ["--data.validation_fraction", 0, "--schedule.rule", "steps"],
            r"step 4, the latest; a best one needs --data\.validation_fraction",
        ),
    ],
)
def test_the_report_names_the_best_checkpoint(train, options, saved):
    done = train("--epochs", 1, *options)
    assert re.search(rf"^saved     {saved}$", done.stdout, re.MULTILINE), done.stderr


@pytest.mark.slow
def test_a_run_that_folds_in_the_validation_images_resumes_there(train, run, tmp_path, data):
    options = ["--schedule.rule", "steps", "--data.fold_in_epoch", 2]
    for epochs in (1, 2, 3):
        assert train(*options, "--epochs", epochs).returncode == 0
    digest, _ = result_of(train(*options), run)
    whole = RunDirectory(tmp_path / "whole")
    done = alexnet("train", "--workdir", whole.root, "--data.dataset", data, *OPTIONS, *options)
    assert result_of(done, whole)[0] == digest
    assert "4 to validate, from epoch 2 to train, 2 to test" in done.stdout
    assert "the run trained on the validation images, so none is called the best" in done.stdout
    assert evaluations(whole) == [(6, "validation"), (6, "test"), (12, "test"), (15, "test")]
    without = RunDirectory(tmp_path / "without")
    done = alexnet("train", "--workdir", without.root, "--data.dataset", data, *OPTIONS, *options[:2])
    assert result_of(done, without)[0] != digest
