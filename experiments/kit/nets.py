"""The nets of the experiments. Each is trained once, in a run directory that all experiments share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from rich.console import Console

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.run import Views
from alexnet_jax.config.serialize import config_to_json
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.source import Source
from alexnet_jax.errors import NotFiniteError
from alexnet_jax.signals import StoppedError
from alexnet_jax.training import loop
from alexnet_jax.training.evaluation import evaluate, evaluate_ensemble
from alexnet_jax.training.layouts import Layout, choose_layout
from alexnet_jax.training.runs.metrics_file import Row
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.steps.state import TrainState
from alexnet_jax.weights.read import load_run
from alexnet_jax.weights.weights import Weights

DIVERGED = "diverged"
"""The file in a run directory that says that the loss of the run was not finite."""


class StoppedBySignalError(StoppedError):
    """A signal stopped the training. The same command resumes it."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


@dataclass(frozen=True)
class TrainedNet:
    """A net that has been trained to its end, or until its loss was not finite."""

    config: TrainConfig
    workdir: RunDirectory

    def rows(self, split: str) -> list[Row]:
        """The rows of metrics.jsonl of a split: "train" or "test"."""
        return [row for row in self.workdir.read_metrics() if row["split"] == split]

    def error(self, split: str) -> float:
        """The top-1 error at the end, as a fraction. That of training is the mean of the last epoch.

        A net that diverged has the error of a guess.
        """
        if self.has_diverged:
            return self.guess_error
        if split == "train":
            return self.mean_training_error(lambda epoch: epoch > self.config.epochs - 1)
        return float(self.rows(split)[-1]["top1_error"])

    def mean_training_error(self, is_counted: Callable[[float], bool]) -> float:
        """The mean top-1 error of the training steps in the rows whose epochs count, as a fraction."""
        rows = [row for row in self.rows("train") if is_counted(row["epoch"])]
        return sum(row["top1_error"] * row["steps"] for row in rows) / sum(row["steps"] for row in rows)

    def load(self) -> Weights:
        """The weights of the last step."""
        return load_run(self.workdir.root)

    def evaluate(self, split: str, views: Views = "center") -> float:
        """The top-1 error on the images of a split, as a fraction, without augmentation and dropout.

        A net that diverged has the error of a guess.
        """
        if self.has_diverged:
            return self.guess_error
        layout, state = self._placed
        return float(evaluate(state, layout, self._source(split), views)["top1_error"])

    def images(self, split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The first ``count`` images of a split, uint8, and their labels."""
        batch = self._source(split).read_batch(np.arange(count), count)
        return batch["image"], batch["label"]

    def _source(self, split: str) -> Source:
        source: Source = getattr(open_dataset(self.workdir.read_config().data), split)
        return source

    @cached_property
    def _placed(self) -> tuple[Layout, TrainState]:
        layout = choose_layout(self.workdir.read_config())
        return layout, layout.place(self.load().state())

    @property
    def guess_error(self) -> float:
        """The error of a guess among the classes, as a fraction."""
        return 1 - 1 / self.config.model.classes

    @property
    def has_diverged(self) -> bool:
        """Whether the loss was not finite."""
        return (self.workdir.root / DIVERGED).exists()


def without_place(config: TrainConfig) -> TrainConfig:
    """``config`` without the directory of its data."""
    return replace(config, data=replace(config.data, data_dir=None, train_examples=None))


def digest_of(config: TrainConfig) -> str:
    """The SHA-256 of ``config`` without the directory of its data."""
    return hashlib.sha256(config_to_json(without_place(config)).encode()).hexdigest()


def train_nets(
    arms: Mapping[str, TrainConfig], seeds: int, root: Path, data_dir: Path | None, say: Callable[[str], None]
) -> dict[str, list[TrainedNet]]:
    """Trains each arm with seeds 0, 1, 2 and so on. Nets that are finished are not trained again.

    Args:
        arms: the runs, by name.
        seeds: the number of seeds.
        root: the directory of the run directories.
        data_dir: the directory of TFDS data sets; None for the default.
        say: called with a line for each net.

    Returns:
        The nets of each arm, in the order of the seeds.

    Raises:
        StoppedBySignalError: a signal arrived.
    """
    trained: dict[str, list[TrainedNet]] = {arm: [] for arm in arms}
    for number, (arm, config) in enumerate(_runs(arms, seeds), start=1):
        workdir = RunDirectory(root / f"{config.data.dataset}-{digest_of(config)[:12]}")
        say(f"net {number} of {seeds * len(arms)}: {arm}, seed {config.seed}, in {workdir.root}")
        if data_dir is not None:
            config = replace(config, data=replace(config.data, data_dir=str(data_dir)))
        net = TrainedNet(config, workdir)
        if not _is_finished(net):
            _train(net)
        trained[arm].append(net)
    return trained


def ensemble_error(nets: Sequence[TrainedNet]) -> float:
    """The top-1 error on test images of the averaged probabilities of ``nets``, as a fraction."""
    placed = [(state, layout) for layout, state in (net._placed for net in nets)]
    return float(evaluate_ensemble(placed, nets[0]._source("test"), "center")["top1_error"])


def _runs(arms: Mapping[str, TrainConfig], seeds: int) -> Iterator[tuple[str, TrainConfig]]:
    """Seed by seed, so that a part of an experiment has all arms."""
    for seed in range(seeds):
        for arm, config in arms.items():
            yield arm, replace(config, seed=seed)


def _is_finished(net: TrainedNet) -> bool:
    if net.has_diverged:
        return True
    if not net.workdir.has_checkpoint:
        return False
    config = net.workdir.read_config()
    return any(row["step"] == config.steps for row in net.rows("test"))


def _train(net: TrainedNet) -> None:
    try:
        result = loop.train(net.config, net.workdir, Console())
    except NotFiniteError:
        (net.workdir.root / DIVERGED).touch()
        return
    if result.stopped_by is not None:
        raise StoppedBySignalError(result.stopped_by)
