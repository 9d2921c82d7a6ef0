"""The training loop of a run, from its start or its latest checkpoint to its end."""

from __future__ import annotations

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
from alexnet_jax.signals import StopRequest
from alexnet_jax.training.checkpoint import tree_digest
from alexnet_jax.training.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.dispatch import dispatches, distinct_group_sizes, evaluates_after, logs_after, saves_after
from alexnet_jax.training.hooks import Pace, Trace
from alexnet_jax.training.metrics_log import MetricsLog
from alexnet_jax.training.parallel import Layout, choose_layout
from alexnet_jax.training.placement import bytes_per_device
from alexnet_jax.training.run_directory import RunDirectory
from alexnet_jax.training.start import StartFromWeights, fit_to_data, restore_or_create, run_keys
from alexnet_jax.training.state import TrainState
from alexnet_jax.training.unreadable_log import UnreadableLog
from alexnet_jax.training.validation import validate


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        step: the number of steps taken.
        steps_taken: the number of steps since the run started or resumed.
        params_sha256: the digest of the parameters (``tree_digest``).
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
) -> Result:
    """Trains a run to its end, or resumes it. Ctrl-C stops it between two steps.

    Args:
        config: the run. The numbers of training images and classes come from its data set.
        workdir: the run directory. If it holds a run, that run is resumed.
        console: shows the progress.
        devices: as in ``choose_layout``.
        keep_classes: whether to keep ``config.model.classes``, which may be more than the data set has.
        profile: a directory for a profiler trace of a few steps.
        start_from_weights: makes the first state of a new run with ``config.init``. None draws initial weights.
        overwrite: whether to delete the run in ``workdir`` and start afresh.

    Raises:
        UsageError: ``workdir`` holds another run, another process trains there, or the config does not fit
            the data or the devices.
        AlexNetError: data or checkpoints cannot be read or written, or the loss is not a finite number.
    """
    data = open_dataset(config.data, config.model.channels)
    config = fit_to_data(config, data, keep_classes)
    layout = choose_layout(config, devices)
    identity = identify(data)
    check_held_out(data, "restore them, or leave them out in another --workdir")
    with workdir.held():
        if overwrite:
            workdir.remove_run()
        workdir.claim(config, data.class_names, identity)
        return _train(config, data, layout, workdir, console, profile, start_from_weights)


def _train(
    config: TrainConfig,
    data: DataSet,
    layout: Layout,
    workdir: RunDirectory,
    console: Console,
    profile: Path | None,
    start_from_weights: StartFromWeights | None,
) -> Result:
    say = partial(say_to, console)
    unreadable = UnreadableLog(data.train, config, workdir, say)
    writer = CheckpointWriter(workdir.checkpoints, workdir.lease)
    state = layout.place(restore_or_create(config, data, workdir, writer, say, start_from_weights, unreadable.images))
    data = replace(data, train=ReplaceUnreadable(data.train, unreadable.images))

    start = int(state.step)
    say(describe_run(config, workdir.root, data, bytes_per_device(state), start))
    with (
        Trace(profile, start, config.steps) as trace,
        StopRequest() as stop,
        Display(console, config.steps, start) as display,
        writer,
    ):
        log = MetricsLog(config, workdir, display)
        state = _Loop(config, data, layout, workdir, writer, log, unreadable, display, stop, trace).run(state)
    unreadable.summarize()
    if trace.file is not None:
        say(f"trace    {trace.file}, to open at https://ui.perfetto.dev; XProf opens the directory {profile}")
    state = layout.collect(state)
    step = int(state.step)
    is_finished = step == config.steps
    if is_finished:
        draw_curves(workdir.read_metrics(), config, workdir.curves)
        draw_filters(state.params, config.model, workdir.filters)
    return Result(step, step - start, tree_digest(state.params), None if is_finished else stop.signal)


@dataclass
class _Loop:
    config: TrainConfig
    data: DataSet
    layout: Layout
    workdir: RunDirectory
    writer: CheckpointWriter
    log: MetricsLog
    unreadable: UnreadableLog
    display: Display
    stop: StopRequest
    trace: Trace

    def run(self, state: TrainState) -> TrainState:
        """Trains to the end of the run, or until a signal arrives. ``state`` is as the layout places it."""
        config, start = self.config, int(state.step)
        _, key = run_keys(config)
        pace = Pace()
        for step, batches in pace.watch(self.unreadable.watch(dispatches(self.data.train, config, start))):
            before = step - len(batches)
            if before == start:
                self.layout.compile_train_steps(state, batches[0], key, distinct_group_sizes(config, start))
                pace.restart()
                if self.stop.signal is not None:  # nothing to save
                    return state
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                state, metrics = self.layout.train_steps(state, batches, key)
            self.trace.after(step, state)
            self.log.add(metrics)
            self.display.advance(step)
            is_stopped = self.stop.signal is not None  # read once, because a signal may arrive at any moment
            if is_stopped or logs_after(config, before, step):
                self.log.write_training_row(step, pace)
                pace.restart()
            if is_stopped or saves_after(config, before, step):
                state = self._save(state, step)
                pace.restart()
            if is_stopped:
                break
        return state

    def _save(self, state: TrainState, step: int) -> TrainState:
        """Saves a checkpoint, after an evaluation if one is due. Returns the state with its ``plateau`` updated."""
        if evaluates_after(self.config, step):
            state = validate(state, step, self.config, self.data, self.layout, self.log, self.display)
        self.writer.save(self.layout.collect(state), keep=self.workdir.best_step())
        return state
