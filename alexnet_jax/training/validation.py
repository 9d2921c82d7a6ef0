"""Evaluates a run on its held-out images, and adapts its learning rate to the result."""

from __future__ import annotations

from alexnet_jax.config import TrainConfig
from alexnet_jax.console.progress import Display
from alexnet_jax.data.source import DataSet, Source
from alexnet_jax.training.evaluation import evaluate
from alexnet_jax.training.hooks import Pace
from alexnet_jax.training.metrics_log import MetricsLog
from alexnet_jax.training.parallel import Layout
from alexnet_jax.training.schedule import observe_error
from alexnet_jax.training.state import TrainState


def validate(
    state: TrainState, step: int, config: TrainConfig, data: DataSet, layout: Layout, log: MetricsLog, display: Display
) -> TrainState:
    """Evaluates on the validation images, if the data set has any, and on the test images.

    Args:
        state: as ``layout`` places it.
        step: the number of steps taken.
        config: the run.
        data: its data set.
        layout: compiles and runs the evaluation.
        log: gets a row for each split.
        display: shows the progress.

    Returns:
        The state with its ``plateau`` updated by the validation error.
    """
    if data.validation is None:
        _evaluate(data.test, "test", state, step, layout, log, display)
        return state
    error = _evaluate(data.validation, "validation", state, step, layout, log, display)
    _evaluate(data.test, "test", state, step, layout, log, display)
    plateau = observe_error(state.plateau, error, config.schedule)
    if config.schedule.rule == "plateau" and int(plateau.drops) > int(state.plateau.drops):
        display.say(f"step {step}: the validation error stopped improving, the learning rate drops")
    return state.replace(plateau=plateau)


def _evaluate(
    source: Source, split: str, state: TrainState, step: int, layout: Layout, log: MetricsLog, display: Display
) -> float:
    pace = Pace()

    def show(done: int) -> None:
        if done == 0:  # compiled
            pace.restart()
        display.advance(step, f"{split}: {done} of {len(source)} images")

    metrics = evaluate(state, layout, source, on_batch=show)
    log.write_evaluation_row(step, split, metrics, pace.images_per_second(len(source)))
    return metrics["top1_error"]
