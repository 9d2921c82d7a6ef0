"""The rows of metrics.jsonl, which the console also shows."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from alexnet_jax.config import TrainConfig
from alexnet_jax.console.progress import Display
from alexnet_jax.errors import AlexNetError
from alexnet_jax.training.hooks import Pace
from alexnet_jax.training.metrics import Metrics, shown_metrics
from alexnet_jax.training.metrics_file import Row
from alexnet_jax.training.run_directory import RunDirectory

_AVERAGED = ("loss", "top1_error", "top5_error")


class MetricsLog:
    """Writes rows to a run directory and to the console.

    A row has ``step``, ``epoch``, ``split`` ("train", "validation" or "test"), ``loss`` in nats, ``top1_error`` and
    ``top5_error`` as fractions, ``learning_rate`` and ``images_per_second``. A row of the split "train" averages the
    steps since the row before, ``steps`` of them, and has ``input_wait``, the fraction of the time that was spent
    waiting for images.
    """

    def __init__(self, config: TrainConfig, workdir: RunDirectory, display: Display) -> None:
        self._config = config
        self._workdir = workdir
        self._display = display
        self._steps: list[Metrics] = []
        self._learning_rate = math.nan

    def add(self, metrics: Metrics) -> None:
        """Keeps the metrics of one or more training steps for the next row. They may still be on the device."""
        self._steps.append(metrics)

    def write_training_row(self, step: int, pace: Pace) -> None:
        """Writes a row of the steps that were added since the last one.

        Args:
            step: the number of steps taken.
            pace: restarted after the last row.

        Raises:
            AlexNetError: the loss is not a finite number.
        """
        metrics = jax.tree.map(lambda *parts: np.hstack(parts), *jax.device_get(self._steps))
        self._steps = []
        means = {name: float(metrics[name].mean()) for name in _AVERAGED}
        if not math.isfinite(means["loss"]):
            raise AlexNetError(
                f"the loss is {means['loss']} at step {step}: the run diverged; use another --workdir with an "
                f"optimizer.learning_rate below {self._config.optimizer.learning_rate}"
            )
        self._learning_rate = float(f"{metrics['learning_rate'][-1]:.6g}")  # the shortest form of a float32
        steps = len(metrics["loss"])
        speed = {
            "images_per_second": pace.images_per_second(self._config.batch_size * steps),
            "input_wait": pace.input_wait(),
        }
        self._write(step, "train", means, speed | {"steps": steps})

    def write_evaluation_row(self, step: int, split: str, metrics: dict[str, float], images_per_second: float) -> None:
        """Writes a row of an evaluation after ``step`` steps."""
        self._write(step, split, metrics, {"images_per_second": images_per_second})

    def _write(self, step: int, split: str, metrics: dict[str, float], more: dict[str, Any]) -> None:
        row: Row = {"step": step, "epoch": step / self._config.steps_per_epoch, "split": split}
        row |= {name: metrics[name] for name in _AVERAGED}
        row |= {"learning_rate": self._learning_rate} | more
        self._workdir.append_metrics(row)
        self._display.row(shown_metrics(row, self._config.model.classes))
