import io
import time

import jax.numpy as jnp
import pytest
from rich.console import Console

from alexnet_jax.config import DataConfig, ScheduleConfig
from alexnet_jax.console import progress
from alexnet_jax.errors import NotFiniteError
from alexnet_jax.training import hooks
from alexnet_jax.training.loggers import MetricsLogger
from alexnet_jax.training.metrics_log import MetricsLog
from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.nets import tiny_config, tiny_model


class FixedPace(hooks.Pace):
    """Two seconds since the restart, a quarter of it spent waiting."""

    def images_per_second(self, images):
        return images / 2

    def input_wait(self):
        return 0.25


@pytest.fixture
def log_of(tmp_path, monkeypatch):
    """A log for a net of so many classes, its run directory, and what it prints."""
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LINES", 0.0)

    def make(classes=10):
        config = tiny_config(
            model=tiny_model("paper", classes=classes),
            data=DataConfig(image_size=72, train_examples=800),
            schedule=ScheduleConfig("steps"),
        )
        workdir, out = RunDirectory(tmp_path), io.StringIO()
        display = progress.Display(Console(file=out, width=200), config.steps, 0)
        no_logger = MetricsLogger(None, tmp_path, config, 0, pytest.fail)
        return MetricsLog(config, workdir, display, no_logger), workdir, out

    return make


def metrics(loss, top1_error=0.5, top5_error=0.25, learning_rate=0.015):
    values = {"loss": loss, "top1_error": top1_error, "top5_error": top5_error, "learning_rate": learning_rate}
    return {name: jnp.asarray(value, jnp.float32) for name, value in values.items()} | {"count": jnp.float32(8)}


def several(*losses):
    """Metrics of several steps in one dispatch."""
    return {name: jnp.stack([metrics(loss)[name] for loss in losses]) for name in metrics(0.0)}


def test_a_training_row_averages_the_steps_since_the_last_row(log_of):
    log, workdir, _ = log_of()
    log.add(metrics(1.0))
    log.add(several(2.0, 6.0))
    log.write_training_row(3, FixedPace())
    log.add(metrics(5.0))
    log.write_training_row(4, FixedPace())
    first, second = workdir.read_metrics()
    assert first["time"] == pytest.approx(time.time(), abs=5)
    del first["time"]
    assert first == {
        "step": 3,
        "epoch": 0.03,
        "split": "train",
        "loss": 3.0,
        "top1_error": 0.5,
        "top5_error": 0.25,
        "learning_rate": 0.015,
        "images_per_second": 12.0,
        "input_wait": 0.25,
        "steps": 3,
    }
    assert (second["steps"], second["loss"]) == (1, 5.0)


def test_an_evaluation_row_has_no_measurements_of_training(log_of):
    log, workdir, _ = log_of()
    log.write_evaluation_row(1, "test", {"loss": 2.0, "top1_error": 0.5, "top5_error": 0.1, "count": 8}, 0.015, 30.0)
    row = workdir.read_metrics()[-1]
    assert (row["split"], row["learning_rate"], row["images_per_second"]) == ("test", 0.015, 30.0)
    assert "input_wait" not in row
    assert "steps" not in row


def test_printed_lines_agree_with_the_rows(log_of):
    log, workdir, out = log_of()
    log.add(metrics(1.2345, 0.12345, 0.0123, learning_rate=0.0123456))
    log.write_training_row(1, FixedPace())
    row, (note, header, line) = workdir.read_metrics()[0], out.getvalue().splitlines()
    assert note.startswith("note      waiting for images 25% of the time")
    printed = dict(zip(header.split(), line.split(), strict=True))
    assert printed["loss"] == f"{row['loss']:.3f}"
    assert printed["error"] == f"{row['top1_error']:.2%}"
    assert printed["top-5"] == f"{row['top5_error']:.2%}"
    assert float(printed["rate"]) == row["learning_rate"]
    assert printed["images/s"] == f"{row['images_per_second']:.0f}"


@pytest.mark.parametrize(("classes", "is_shown"), [(4, False), (6, True)])
def test_the_top5_error_is_shown_for_more_than_five_classes(log_of, classes, is_shown):
    log, workdir, out = log_of(classes)
    log.add(metrics(1.0))
    log.write_training_row(1, FixedPace())
    assert ("top-5" in out.getvalue()) == is_shown
    assert "top5_error" in workdir.read_metrics()[0]


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        (
            (1.0, float("nan"), 1.0),
            r"^the loss is nan at step 6: the run diverged, .*--optimizer\.learning_rate below 0\.01$",
        ),
        ((1.0, 2.0, float("inf")), r"^the loss is inf at step 7: the run diverged, "),
    ],
)
def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_step(log_of, losses, message):
    log, workdir, _ = log_of()
    log.add(several(*losses))
    with pytest.raises(NotFiniteError, match=message):
        log.write_training_row(7, FixedPace())
    assert workdir.read_metrics() == []


def test_the_learning_rate_is_not_blamed_for_the_loss_before_the_first_update(log_of):
    log, _, _ = log_of()
    log.add(several(float("nan"), float("nan")))
    with pytest.raises(
        NotFiniteError, match=r"^the loss is nan at step 1, before any update: use smaller standard dev"
    ):
        log.write_training_row(2, FixedPace())


def test_a_resumed_log_knows_the_evaluations_that_have_rows(log_of):
    log, _, _ = log_of()
    log.write_evaluation_row(4, "test", {"loss": 2.0, "top1_error": 0.5, "top5_error": 0.1, "count": 8}, 0.1, 30.0)
    resumed, _, _ = log_of()
    assert resumed.has_evaluation(4, "test")
    assert not resumed.has_evaluation(4, "validation")
    assert not resumed.has_evaluation(2, "test")


def test_a_loss_that_stays_at_chance_is_noted_once_after_two_epochs(log_of):
    log, _, out = log_of()
    for step, loss in ((199, 2.3026), (200, 2.25), (201, 2.301), (202, 2.3026)):
        log.add(metrics(loss))
        log.write_training_row(step, FixedPace())
    lines = [line for line in out.getvalue().splitlines() if "guess" in line or "still ln(10) = 2.303" in line]
    assert len(lines) == 1
    printed = out.getvalue()
    assert printed.index("2.250 ") < printed.index("after 2 epochs the loss is still ln(10) = 2.303")
