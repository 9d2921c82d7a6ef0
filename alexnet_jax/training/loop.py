"""The training loop of a run, from its start or its latest checkpoint to its end."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
from rich.console import Console

from alexnet_jax.config import TrainConfig
from alexnet_jax.console.plots import draw_curves, draw_filters
from alexnet_jax.console.progress import Display
from alexnet_jax.console.progress import say as say_to
from alexnet_jax.console.tables import describe_run
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.identity import identify
from alexnet_jax.data.source import DataSet
from alexnet_jax.data.unreadable import ReplaceUnreadable, check_held_out
from alexnet_jax.errors import NotFiniteError
from alexnet_jax.signals import StoppedError, StopRequest
from alexnet_jax.training.checkpoint import tree_digest
from alexnet_jax.training.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.dispatch import (
    InFlight,
    dispatches,
    distinct_group_sizes,
    evaluates_after,
    logs_after,
    saves_after,
)
from alexnet_jax.training.divergence import diverged, not_finite_at_start
from alexnet_jax.training.hooks import Pace, Trace
from alexnet_jax.training.kept_outputs import keep_outputs
from alexnet_jax.training.loggers import LoggerName, MetricsLogger, check_logger
from alexnet_jax.training.metrics_log import MetricsLog
from alexnet_jax.training.optimizer import make_optimizer
from alexnet_jax.training.parallel import Layout, choose_layout
from alexnet_jax.training.placement import bytes_per_device
from alexnet_jax.training.run_directory import RunDirectory
from alexnet_jax.training.start import StartFromWeights, absolute_paths, fit_to_data, restore_or_create, run_keys
from alexnet_jax.training.state import TrainState
from alexnet_jax.training.unreadable_log import UnreadableLog
from alexnet_jax.training.validation import Validation


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        step: the number of steps taken.
        steps_taken: the number of steps since the run started or resumed.
        params_sha256: the digest of the parameters (``tree_digest``), or of their average if the run keeps one.
        stopped_by: the number of the signal that stopped the run before its end, or None.
    """

    step: int
    steps_taken: int
    params_sha256: str
    stopped_by: int | None


def train(
    config: TrainConfig,
    workdir: RunDirectory,
    console: Console,
    devices: int | None = None,
    keep_classes: bool = True,
    profile: Path | None = None,
    start_from_weights: StartFromWeights | None = None,
    overwrite: bool = False,
    logger: LoggerName | None = None,
) -> Result:
    """Trains a run to its end, or resumes it. A signal stops it between two steps or batches of an evaluation.

    The checkpoint of a step is saved before the evaluation after that step. If an error ends the run, the steps taken
    so far are saved, and the same call resumes it.

    Args:
        config: the run. The numbers of training images and classes come from its data set.
        workdir: the run directory. If it holds a run, that run is resumed.
        console: shows the progress.
        devices: as in ``choose_layout``.
        keep_classes: whether to keep ``config.model.classes``, which may be more than the data set has.
        profile: a directory for a profiler trace of a few steps.
        start_from_weights: makes the first state of a new run with ``config.init``.
        overwrite: whether to delete the run in ``workdir`` and start afresh.
        logger: a program that also gets the rows of metrics.

    Raises:
        UsageError: ``workdir`` holds another run, another process trains there, the config does not fit the data or
            the devices, or the package of ``logger`` is not installed.
        NotFiniteError: a loss or a parameter is not a finite number. The checkpoints before it are kept.
        AlexNetError: data or checkpoints cannot be read or written.
    """
    check_logger(logger)
    config = absolute_paths(config)
    data = open_dataset(config.data, config.model.channels)
    config = fit_to_data(config, data, keep_classes)
    layout = choose_layout(config, devices)
    make_optimizer(config.optimizer, layout.tower_axis)  # refuses a rule that does not work on these devices
    identity = identify(data)
    check_held_out(data, "restore them, or leave them out in another --workdir")
    with workdir.held():
        if overwrite:
            workdir.remove_run()
        workdir.claim(config, data.class_names, identity)
        return _train(config, data, layout, workdir, console, profile, start_from_weights, logger)


def _train(
    config: TrainConfig,
    data: DataSet,
    layout: Layout,
    workdir: RunDirectory,
    console: Console,
    profile: Path | None,
    start_from_weights: StartFromWeights | None,
    logger: LoggerName | None,
) -> Result:
    say = partial(say_to, console)
    unreadable = UnreadableLog(data.train, config, workdir, say)
    writer = CheckpointWriter(workdir.checkpoints, workdir.lease)
    state = layout.place(
        restore_or_create(
            config, data, workdir, writer, say, start_from_weights, unreadable.images, len(layout.devices)
        )
    )
    data = replace(data, train=ReplaceUnreadable(data.train, unreadable.images))

    start = int(state.step)
    if not layout.is_finite(state):
        raise _not_finite(start, config)
    say(describe_run(config, workdir.root, data, bytes_per_device(state), start))
    with (
        Trace(profile, start, config.steps) as trace,
        StopRequest() as stop,
        Display(console, config.steps, start) as display,
        MetricsLogger(logger, workdir.root, config, start, say) as metrics_logger,
        writer,
    ):
        log = MetricsLog(config, workdir, display, metrics_logger)

        def show(text: str) -> None:
            display.advance(start, text)
            stop.check()

        try:
            data = keep_outputs(data, config, layout, state, workdir.outputs, say, show)
        except StoppedError:
            return Result(start, 0, tree_digest(layout.collect(state).inference_params), stop.signal)
        validation = Validation(config, data, layout, log, display, stop)
        loop = _Loop(config, data, layout, workdir, writer, log, unreadable, validation, display, stop, trace, state)
        is_finished = loop.run()
    unreadable.summarize()
    if trace.file is not None:
        say(f"trace    {trace.file}, to open at https://ui.perfetto.dev; XProf opens the directory {profile}")
    state = layout.collect(loop.state)
    if is_finished:
        draw_curves(workdir.read_metrics(), config, workdir.curves)
        draw_filters(state.inference_params, config.model, workdir.filters)
    stopped_by = None if is_finished else stop.signal
    return Result(loop.step, loop.step - start, tree_digest(state.inference_params), stopped_by)


@dataclass
class _Loop:
    """The steps of a run, and what is due between them."""

    config: TrainConfig
    data: DataSet
    layout: Layout
    workdir: RunDirectory
    writer: CheckpointWriter
    log: MetricsLog
    unreadable: UnreadableLog
    validation: Validation
    display: Display
    stop: StopRequest
    trace: Trace
    state: TrainState

    def __post_init__(self) -> None:
        self.start = self.step = int(self.state.step)  # self.step stays known when an error makes the state unreadable
        self.pace = Pace()

    def run(self) -> bool:
        """Trains to the end of the run, or until a signal arrives.

        An error saves the steps taken so far, unless the run diverged. The error is then raised again.

        Returns:
            Whether the run is finished.
        """
        try:
            if evaluates_after(self.config, self.step):  # the checkpoint was saved before the evaluation
                self._evaluate()
            return self._train()
        except StoppedError:
            return False
        except NotFiniteError:
            raise
        except Exception:
            self._save_what_is_left()
            raise

    def _train(self) -> bool:
        config, (_, key) = self.config, run_keys(self.config)
        in_flight = InFlight()
        groups = dispatches(self.data.train, config, self.step, self.data.validation)
        for step, batches in self.pace.watch(self.unreadable.watch(groups)):
            before = self.step
            if before == self.start:
                self.layout.compile_train_steps(self.state, batches[0], key, distinct_group_sizes(config, before))
                self.pace.restart()
                self.stop.check()  # nothing to save
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                self.state, metrics = self.layout.train_steps(self.state, batches, key)
            self.step = step
            in_flight.add(metrics)
            self.trace.after(step, self.state)
            self.log.add(metrics)
            self.display.advance(step)
            is_stopped = self.stop.signal is not None  # read once, because a signal may arrive at any moment
            if is_stopped or logs_after(config, before, step):
                self._write_row()
            if is_stopped or saves_after(config, before, step):
                self._save()
            if is_stopped:
                return False
            if evaluates_after(config, step):
                self._evaluate()
        return True

    def _write_row(self) -> None:
        self.log.write_training_row(self.step, self.pace)
        self.pace.restart()

    def _save(self) -> None:
        if not self.layout.is_finite(self.state):
            found = f"the parameters or the state of the optimizer are not finite numbers after step {self.step:,}"
            raise diverged(found, self.config)
        self.writer.save(self.layout.collect(self.state), keep=self.workdir.best_step(self.config.data))
        self.pace.restart()

    def _evaluate(self) -> None:
        try:
            self.state = self.validation.after(self.state, self.step)
        except NotFiniteError:
            if self.step > self.start:  # its checkpoint is new
                self.writer.wait()
                self.writer.set_aside_after(self.step - 1)
            raise
        self.pace.restart()

    def _save_what_is_left(self) -> None:
        """Saves the steps since the last checkpoint after an error, if the devices still hold their state."""
        if self.step > self.start:
            for attempt in (self._write_row, self._save, self.writer.wait):
                with contextlib.suppress(Exception):
                    attempt()


def _not_finite(start: int, config: TrainConfig) -> NotFiniteError:
    """The error about the state that a run starts with."""
    if start == 0:
        return not_finite_at_start("the initial state holds numbers that are not finite", config)
    return diverged(f"the checkpoint of step {start:,} holds numbers that are not finite", config)
