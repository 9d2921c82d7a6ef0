"""A whole run, from a config to a trained net: the place where steps, data, checkpoints and people meet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from alexnet_jax.config import TrainConfig
from alexnet_jax.console.plots import draw_curves, draw_filters
from alexnet_jax.console.progress import Display
from alexnet_jax.console.progress import say as say_to
from alexnet_jax.console.tables import describe_run
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.measure_statistics import training_statistics
from alexnet_jax.data.pipeline import training_batches
from alexnet_jax.data.source import DataSet, Example
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.signals import StopRequest
from alexnet_jax.training.checkpoint import Checkpoints, tree_digest
from alexnet_jax.training.evaluation import evaluate
from alexnet_jax.training.hooks import Pace, Trace
from alexnet_jax.training.parallel import Layout, bytes_per_device, choose_layout
from alexnet_jax.training.run_directory import Row, RunDirectory
from alexnet_jax.training.schedule import observe_error
from alexnet_jax.training.state import TrainState, create_train_state, train_state_form
from alexnet_jax.training.steps import Metrics
from alexnet_jax.weights.fine_tuning import start_from
from alexnet_jax.weights.read import read_weights


@dataclass(frozen=True)
class Result:
    """How a run ended."""

    step: int
    steps_taken: int
    """Steps since the run started or resumed."""
    params_sha256: str
    stopped_by: int | None
    """The signal that stopped it before its end, or None."""


def fit_to_data(config: TrainConfig, data: DataSet, keep_classes: bool) -> TrainConfig:
    """``config`` with the number of training images and, unless ``keep_classes``, of classes that ``data`` has.

    Raises UsageError where ``keep_classes`` keeps too few.
    """
    there = len(data.class_names)
    if keep_classes and config.model.classes < there:
        raise UsageError(
            f"model.classes is {config.model.classes}: {data.where} has {there} classes, use at least as many"
        )
    model = config.model if keep_classes else replace(config.model, classes=there)
    return replace(config, model=model, data=replace(config.data, train_examples=len(data.train)))


def train(
    config: TrainConfig,
    workdir: RunDirectory,
    console: Console,
    devices: int | None = None,
    keep_classes: bool = True,
    profile: Path | None = None,
) -> Result:
    """Trains to the end of ``config`` in ``workdir``, going on from its latest checkpoint, and draws the pictures.

    A trace of a few steps goes to the folder ``profile``.

    Raises UsageError where the folder holds another run or the devices cannot be had, AlexNetError where data or
    checkpoints cannot be read or the loss is no longer a number.
    """
    data = open_dataset(config.data, config.model.channels)
    config = fit_to_data(config, data, keep_classes)
    if config.schedule.rule == "plateau" and data.validation is None:
        raise UsageError(
            "schedule.rule is 'plateau': nothing is held out to validate on; use --data.validation_fraction 0.1, "
            "--data.validation_split, or --schedule.rule steps"
        )
    layout = choose_layout(config, devices)
    workdir.claim(config, data.class_names)
    say = partial(say_to, console)
    checkpoints = Checkpoints(workdir.checkpoints, warn=say)
    state = layout.place(_restore_or_create(config, data, workdir, checkpoints, say))

    start = int(state.step)
    say(describe_run(config, workdir.root, data, bytes_per_device(state), start))
    with (
        Trace(profile, start, config.steps) as trace,
        StopRequest() as stop,
        Display(console, config.steps, start) as display,
    ):
        run = _Run(config, data, layout, workdir, checkpoints, display, stop, trace)
        state = run.go_on(state)
        checkpoints.wait()
    if trace.file is not None:
        say(f"trace    {trace.file}, to open at https://ui.perfetto.dev; XProf opens the folder {profile}")
    state = layout.collect(state)
    finished = int(state.step) == config.steps
    if finished:
        draw_curves(workdir.read_metrics(), config, workdir.curves)
        draw_filters(state.params, config.model, workdir.filters)
    return Result(
        int(state.step), int(state.step) - start, tree_digest(state.params), None if finished else stop.signal
    )


def _restore_or_create(
    config: TrainConfig, data: DataSet, workdir: RunDirectory, checkpoints: Checkpoints, say: Callable[[str], None]
) -> TrainState:
    """The latest state, with whatever the folder has of later steps removed, or the first."""
    state = checkpoints.restore(train_state_form(config))
    if state is None:
        state = _create(config, data, say)
    checkpoints.discard_after(int(state.step))
    workdir.keep_metrics_until(int(state.step))
    return state


def _create(config: TrainConfig, data: DataSet, say: Callable[[str], None]) -> TrainState:
    create = jax.jit(partial(create_train_state, config))
    first_key, _ = _keys(config)
    if config.init is None:
        per_pixel = config.augment.mean == "image"
        return create(first_key, training_statistics(data, config.data, config.model.channels, per_pixel))
    weights = read_weights(Path(config.init), warn=say)
    return start_from(weights, create(first_key, weights.statistics), config, say)


def _keys(config: TrainConfig) -> tuple[jax.Array, jax.Array]:
    """For the first weights, and for the steps."""
    first, steps = jax.random.split(jax.random.key(config.seed))
    return first, steps


@dataclass
class _Run:
    """The loop and what it needs; ``go_on`` is its only entrance."""

    config: TrainConfig
    data: DataSet
    layout: Layout
    workdir: RunDirectory
    checkpoints: Checkpoints
    display: Display
    stop: StopRequest
    trace: Trace

    def go_on(self, state: TrainState) -> TrainState:
        """Steps from ``state`` to the end of the run, or until someone asks to stop."""
        config, start = self.config, int(state.step)
        _, key = _keys(config)
        since: list[Metrics] = []
        pace = Pace()
        for step, batches in pace.watch(self._dispatches(start)):
            if step - len(batches) == start:
                self.layout.compile_train_step(state, batches[0], key)
                pace.restart()
                if self.stop.signal is not None:  # nothing to save yet
                    break
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                state, metrics = self.layout.train_steps(state, batches, key)
            self.trace.after(step, state)
            since.append(metrics)
            self.display.advance(step)
            stops = self.stop.signal is not None  # asked once: a signal may come at any moment
            evaluates = self._evaluates_at(step)
            saves = evaluates or stops or step % config.checkpoint_every == 0
            if saves or step % config.log_every == 0:
                rate = self._log_training(step, since, pace)
                since = []
                pace.restart()
            if saves:
                state = self._evaluate_and_save(state, step, rate, evaluates)
                pace.restart()
            if stops:
                break
        return state

    def _dispatches(self, step: int) -> Iterator[tuple[int, list[Example]]]:
        """The batches that go to the devices together, and the step that they lead to, to the end of the run."""
        batches = training_batches(self.data.train, self.config.batch_size, self.config.seed, step)
        while step < self.config.steps:
            together = list(islice(batches, self._steps_together(step)))
            step += len(together)
            yield step, together

    def _steps_together(self, step: int) -> int:
        """How many steps follow ``step`` in one dispatch: all of those allowed, or one where something is due between.

        Whole dispatches begin at their own multiples, so that a resumed run divides its steps as the first one did.
        """
        config, most = self.config, self.config.steps_per_dispatch
        periods = (config.log_every, config.checkpoint_every, config.evaluate_every * config.steps_per_epoch)
        due = min(config.steps, *(step + period - step % period for period in periods))
        return most if step % most == 0 and step + most <= due else 1

    def _evaluates_at(self, step: int) -> bool:
        return step % (self.config.evaluate_every * self.config.steps_per_epoch) == 0 or step == self.config.steps

    def _log_training(self, step: int, since: list[Metrics], pace: Pace) -> float:
        """Writes a row with the means over the steps ``since`` the last one; returns the learning rate."""
        rows = jax.tree.map(lambda *parts: np.hstack(parts), *jax.device_get(since))
        means = {name: float(rows[name].mean()) for name in ("loss", "top1_error", "top5_error")}
        if not math.isfinite(means["loss"]):
            raise AlexNetError(
                f"the loss is {means['loss']} at step {step}: the run diverged; use another --workdir with an "
                f"optimizer.learning_rate below {self.config.optimizer.learning_rate}"
            )
        rate = float(f"{rows['learning_rate'][-1]:.6g}")  # without the tail that float32 adds
        speed = {
            "images_per_second": pace.images_per_second(self.config.batch_size * len(rows["loss"])),
            "input_wait": pace.input_wait(),
        }
        self._log(step, "train", means, rate, speed)
        return rate

    def _log(
        self, step: int, split: str, metrics: dict[str, Any], learning_rate: float, speed: dict[str, float]
    ) -> None:
        names = ("loss", "top1_error", "top5_error")
        row: Row = {"step": step, "epoch": step / self.config.steps_per_epoch, "split": split}
        row |= {name: metrics[name] for name in names}
        row |= {"learning_rate": learning_rate} | speed
        self.workdir.append_metrics(row)
        self.display.row(row)

    def _evaluate_and_save(self, state: TrainState, step: int, rate: float, evaluates: bool) -> TrainState:
        splits = self._splits() if evaluates else []
        errors = {split: self._evaluate(state, step, split, rate) for split in splits}
        if "validation" in errors:
            plateau = observe_error(state.plateau, errors["validation"], self.config.schedule)
            if self.config.schedule.rule == "plateau" and int(plateau.drops) > int(state.plateau.drops):
                self.display.say(f"step {step}: the validation error stopped improving, the learning rate drops")
            state = state.replace(plateau=plateau)
        self.checkpoints.save(self.layout.collect(state), errors.get("validation", errors.get("test")))
        return state

    def _splits(self) -> list[str]:
        return ["test"] if self.data.validation is None else ["validation", "test"]

    def _evaluate(self, state: TrainState, step: int, split: str, learning_rate: float) -> float:
        source = self.data.test if split == "test" else self.data.validation
        assert source is not None
        pace = Pace()

        def show(done: int) -> None:
            if done == 0:
                pace.restart()
            self.display.advance(step, f"{split}: {done} of {len(source)} images")

        metrics = evaluate(state, self.layout, source, on_batch=show)
        self._log(step, split, metrics, learning_rate, {"images_per_second": pace.images_per_second(len(source))})
        return metrics["top1_error"]
