"""The rows of metrics.jsonl, which the console and other programs also show."""

from __future__ import annotations

import time
from typing import Any

import jax
import numpy as np

from alexnet_jax.config import TrainConfig
from alexnet_jax.console.progress import Display
from alexnet_jax.training.divergence import SkippedSteps, diverged, not_finite_at_start, note_if_stuck
from alexnet_jax.training.hooks import Pace
from alexnet_jax.training.loggers import MetricsLogger
from alexnet_jax.training.runs.metrics_file import Row
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.steps.metrics import Metrics, shown_metrics

_AVERAGED = ("loss", "top1_error", "top5_error")


class MetricsLog:
    """Writes rows to a run directory, to the console and to a logger.

    A row has ``step``, ``epoch``, ``split`` ("train", "validation" or "test"), ``loss`` in nats, ``top1_error`` and
    ``top5_error`` as fractions, ``learning_rate``, ``images_per_second`` and the ``time`` at which it was written, in
    seconds since 1970. A row of the split "train" averages the steps since the row before, ``steps`` of them, and has
    ``input_wait``, the fraction of the time that was spent waiting for images. Under ``--on_nan skip`` it leaves out
    the skipped steps, and ``skipped`` is their number; if all steps were skipped, the next row counts them.
    """

    def __init__(self, config: TrainConfig, workdir: RunDirectory, display: Display, logger: MetricsLogger) -> None:
        self._config = config
        self._workdir = workdir
        self._display = display
        self._logger = logger
        self._steps: list[Metrics] = []
        self._skipped = SkippedSteps(config)
        self._is_noted = False
        self._evaluated = {(row["step"], row["split"]) for row in workdir.read_metrics()}

    def add(self, metrics: Metrics) -> None:
        """Keeps the metrics of one or more training steps for the next row. They may still be on the device."""
        self._steps.append(metrics)

    def write_training_row(self, step: int, pace: Pace) -> None:
        """Writes a row of the steps that were added since the last one.

        Args:
            step: the number of steps taken.
            pace: restarted after the last row.

        Raises:
            NotFiniteError: the loss of a step is not a finite number, or every step of an epoch was skipped.
        """
        metrics = jax.tree.map(lambda *parts: np.hstack(parts), *jax.device_get(self._steps))
        self._steps = []
        speed = {
            "images_per_second": pace.images_per_second(self._config.batch_size * len(metrics["loss"])),
            "input_wait": pace.input_wait(),
        }
        counts = {}
        if "skipped" in metrics:
            metrics = self._without_skipped(step, metrics)
            if not len(metrics["loss"]):
                return
            counts["skipped"] = self._skipped.take()
        counts["steps"] = len(metrics["loss"])
        self._check_losses(step - counts["steps"] + 1, metrics["loss"])
        means = {name: float(metrics[name].mean()) for name in _AVERAGED}
        self._write(step, "train", means, metrics["learning_rate"][-1], speed | counts)
        self._note_if_stuck(step, means["loss"])

    def has_evaluation(self, step: int, split: str) -> bool:
        """Whether the run directory had a row of this evaluation when the run was resumed."""
        return (step, split) in self._evaluated

    def write_evaluation_row(
        self, step: int, split: str, metrics: dict[str, float], learning_rate: float, images_per_second: float
    ) -> None:
        """Writes a row of an evaluation.

        Args:
            step: the number of steps taken.
            split: "validation" or "test".
            metrics: the result of ``evaluate``.
            learning_rate: the learning rate of the last step.
            images_per_second: the speed of the evaluation.
        """
        self._write(step, split, metrics, learning_rate, {"images_per_second": images_per_second})

    def _note_if_stuck(self, step: int, loss: float) -> None:
        note = None if self._is_noted else note_if_stuck(loss, step, self._config)
        if note is not None:
            self._is_noted = True
            self._display.say(f"note      {note}")

    def _without_skipped(self, step: int, metrics: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The metrics of the steps until ``step`` that were not skipped."""
        skipped = metrics["skipped"] == 1
        note = self._skipped.add(step, skipped)
        if note is not None:
            self._display.say(f"note      {note}")
        return {name: values[~skipped] for name, values in metrics.items()}

    def _check_losses(self, first: int, losses: np.ndarray) -> None:
        bad = np.flatnonzero(~np.isfinite(losses))
        if not len(bad):
            return
        step = first + int(bad[0])
        error = not_finite_at_start if step == 1 else diverged
        raise error(f"the loss is {losses[bad[0]]} at step {step:,}", self._config)

    def _write(
        self, step: int, split: str, metrics: dict[str, float], learning_rate: float, more: dict[str, Any]
    ) -> None:
        row: Row = {"step": step, "epoch": step / self._config.steps_per_epoch, "split": split}
        row |= {name: metrics[name] for name in _AVERAGED}
        row |= {"learning_rate": float(f"{learning_rate:.6g}")} | more  # the shortest form of a float32
        row["time"] = round(time.time(), 3)
        self._workdir.append_metrics(row)
        self._logger.row(row)
        self._display.row(shown_metrics(row, self._config.model.classes))
