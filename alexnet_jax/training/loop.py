"""The training loop of a run, from its start or its latest checkpoint to its end."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
from rich.console import Console

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.devices import LayoutName
from alexnet_jax.console.plots import draw_curves, draw_filters
from alexnet_jax.console.progress import Display
from alexnet_jax.console.progress import say as say_to
from alexnet_jax.console.tables import describe_run
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.identity import Identity, identify
from alexnet_jax.data.remembered import remember
from alexnet_jax.data.source import DataSet
from alexnet_jax.data.unreadable import ReplaceUnreadable, check_held_out
from alexnet_jax.errors import NotFiniteError
from alexnet_jax.hosts.team import Team
from alexnet_jax.signals import StoppedError, StopRequest
from alexnet_jax.training.dispatch import (
    InFlight,
    dispatches,
    distinct_group_sizes,
    evaluates_after,
    keeps_after,
    logs_after,
    saves_after,
)
from alexnet_jax.training.divergence import diverged, not_finite_at_start
from alexnet_jax.training.held_examples import hold_examples
from alexnet_jax.training.hooks import Pace, Trace
from alexnet_jax.training.kept_outputs import keep_outputs
from alexnet_jax.training.layouts import Layout, choose_layout, reason_of
from alexnet_jax.training.layouts.placement import bytes_per_device
from alexnet_jax.training.layouts.stored_plan import StoredPlan
from alexnet_jax.training.loggers import LoggerName, MetricsLogger, check_logger
from alexnet_jax.training.metrics_log import MetricsLog
from alexnet_jax.training.runs.checkpoint import tree_digest
from alexnet_jax.training.runs.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.runs.unreadable_log import UnreadableLog
from alexnet_jax.training.start import (
    StartFromWeights,
    absolute_paths,
    check_same_run,
    empty_state,
    fit_to_data,
    prepare_to_resume,
    restore_or_create,
    run_keys,
)
from alexnet_jax.training.steps.state import TrainState
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
    *,
    devices: int | None = None,
    layout: LayoutName = "auto",
    data_parallel: int | None = None,
    keep_classes: bool = True,
    profile: Path | None = None,
    start_from_weights: StartFromWeights | None = None,
    overwrite: bool = False,
    logger: LoggerName | None = None,
    plan: StoredPlan | None = None,
    team: Team | None = None,
) -> Result:
    """Trains a run to its end, or resumes it. A signal stops it between two steps or batches of an evaluation.

    The checkpoint of a step is saved before the evaluation after that step. If an error ends the run, the steps taken
    so far are saved, and the same call resumes it.

    Args:
        config: the run. The numbers of training images and classes come from its data set.
        workdir: the run directory. If it holds a run, that run is resumed.
        console: shows the progress.
        devices: as in ``choose_layout``.
        layout: as in ``choose_layout``.
        data_parallel: as in ``choose_layout``.
        keep_classes: whether to keep ``config.model.classes``, which may be more than the data set has.
        profile: a directory for a profiler trace of a few steps.
        start_from_weights: makes the first state of a new run with ``config.init``.
        overwrite: whether to delete the run in ``workdir`` and start afresh.
        logger: a program that also gets the rows of metrics.
        plan: as in ``choose_layout``.
        team: the processes that train the run together; None for this one alone. Only the main one uses ``workdir``,
            ``console``, ``profile`` and ``logger``.

    Raises:
        UsageError: ``workdir`` holds another run, another process trains there, the config does not fit the data or
            the devices, or the package of ``logger`` is not installed.
        NotFiniteError: a loss or a parameter is not a finite number. The checkpoints before it are kept.
        AlexNetError: data or checkpoints cannot be read or written.
    """
    began = time.time()
    check_logger(logger)
    config = absolute_paths(config)
    data = open_dataset(config.data, config.model.channels)
    wanted, config = config, fit_to_data(config, data, keep_classes)
    if config.batch_size < wanted.batch_size:
        note = f"batch_size {config.batch_size}, not {wanted.batch_size}: that is the number of images to train"
        data = replace(data, notes=(*data.notes, note))
    chosen = choose_layout(config, devices, layout, data_parallel, plan)
    if layout == "auto" and (reason := reason_of(chosen, plan)):
        say_to(console, f"layout    {reason}")
    chosen.check_training()
    identity = identify(data)
    data = remember(data)
    team = team or Team()
    with contextlib.ExitStack() as stack:
        if team.is_main:
            check_held_out(data, "restore them, or leave them out in another --workdir")
        else:
            workdir = RunDirectory(Path(stack.enter_context(TemporaryDirectory(prefix="alexnet-"))))
            console, profile, logger = Console(quiet=True), None, None
        stack.enter_context(workdir.held())
        if overwrite:
            workdir.remove_run()
        workdir.claim(config, data.class_names, identity)
        workdir.record_start(began)
        check_same_run(config, identity, team)
        return _train(config, data, identity, chosen, workdir, console, profile, start_from_weights, logger, team)


def _train(
    config: TrainConfig,
    data: DataSet,
    identity: Identity,
    layout: Layout,
    workdir: RunDirectory,
    console: Console,
    profile: Path | None,
    start_from_weights: StartFromWeights | None,
    logger: LoggerName | None,
    team: Team,
) -> Result:
    say = partial(say_to, console)
    unreadable = UnreadableLog(data.train, config, workdir, say)
    writer = CheckpointWriter(workdir.checkpoints, workdir.lease, partial(keeps_after, config), workdir.publish)
    if team.is_main:
        first = restore_or_create(config, data, workdir, say, start_from_weights, unreadable.images)
        prepare_to_resume(workdir, writer, int(first.step), len(layout.devices), layout.name, say)
    else:
        first = empty_state(config)
    state = layout.place(team.from_main(first))
    data = replace(data, train=ReplaceUnreadable(data.train, unreadable.images))

    start = int(state.step)
    if not layout.is_finite(state):
        raise _not_finite(start, config)
    say(describe_run(config, workdir.place, data, bytes_per_device(state), layout.part, start))
    with (
        Trace(profile, start, config.steps) as trace,
        team.stop_request() as stop,
        Display(console, config.steps, start) as display,
        MetricsLogger(logger, workdir.root, config, start, say) as metrics_logger,
        writer,
    ):
        log = MetricsLog(config, workdir, display, metrics_logger)

        def show(text: str) -> None:
            display.advance(start, text)
            stop.check()

        held = False
        try:
            if team.count == 1:  # several processes would each need the outputs or examples for their images
                data = keep_outputs(data, identity, config, layout, state, workdir.outputs, say, show)
                held = hold_examples(data, config, layout, show, unreadable.watch)
        except StoppedError:
            return Result(start, 0, tree_digest(layout.collect(state).inference_params), stop.signal)
        validation = Validation(config, data, layout, log, display, stop, team)
        loop = _Loop(
            config=config,
            data=data,
            layout=layout,
            workdir=workdir,
            writer=writer,
            log=log,
            unreadable=unreadable,
            validation=validation,
            display=display,
            stop=stop,
            trace=trace,
            team=team,
            state=state,
            held=held,
        )
        is_finished = loop.run()
        team.begins("ends the run")
    unreadable.summarize()
    if trace.file is not None:
        say(f"trace    {trace.file}, to open at https://ui.perfetto.dev; XProf opens the directory {profile}")
    state = layout.collect(loop.state)
    if is_finished and team.is_main:
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
    team: Team
    state: TrainState
    held: bool
    """Whether the devices hold the training examples."""

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
        groups = dispatches(self.data.train, config, self.step, self.data.validation, self.layout.rows, self.held)
        groups = self.team.watch(self.unreadable.watch(groups), "trains")
        for step, batches in self.pace.watch(groups):
            before = self.step
            if before == self.start:
                self.team.begins("compiles")
                self.layout.compile_train_steps(self.state, batches[0], key, distinct_group_sizes(config, before))
                self.team.begins("trains")
                self.pace.restart()
                self.stop.check()  # nothing to save
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                self.state, metrics = self.layout.train_steps(self.state, batches, key)
            self.step = step
            self.team.reaches(step)
            in_flight.add(metrics)
            self.trace.after(step, self.state)
            self.log.add(metrics)
            self.display.advance(step)
            is_stopped = self.stop.is_due()  # read once, because a signal may arrive at any moment
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
        self.team.begins("saves a checkpoint")
        state = self.layout.collect(self.state)
        if self.team.is_main:
            self.writer.save(state, keep=self.workdir.best_step(self.config.data))
        self.pace.restart()

    def _evaluate(self) -> None:
        try:
            self.state = self.validation.after(self.state, self.step)
        except NotFiniteError:
            if self.step > self.start:  # its checkpoint is new
                self.writer.wait()
                self.writer.set_aside_after(self.step - 1)
            raise
        self.writer.publish()
        self.pace.restart()

    def _save_what_is_left(self) -> None:
        """Saves the steps since the last checkpoint after an error, if the devices still hold their state.

        One of several processes cannot collect the state alone.
        """
        if self.step > self.start:
            alone = (self._write_row, self._save) if self.team.count == 1 else ()
            for attempt in (*alone, self.writer.wait):
                with contextlib.suppress(Exception):
                    attempt()


def _not_finite(start: int, config: TrainConfig) -> NotFiniteError:
    """The error about the state that a run starts with."""
    if start == 0:
        return not_finite_at_start("the initial state holds numbers that are not finite", config)
    return diverged(f"the checkpoint of step {start:,} holds numbers that are not finite", config)
