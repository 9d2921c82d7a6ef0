"""Evaluates a run on its held-out images, and adapts its learning rate to the result."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import numpy as np

from alexnet_jax.config import TrainConfig
from alexnet_jax.console.progress import Display
from alexnet_jax.data.source import DataSet, Source
from alexnet_jax.errors import NotFiniteError
from alexnet_jax.hosts.team import Team
from alexnet_jax.signals import StopRequest
from alexnet_jax.training.dispatch import observes_after, validates_after
from alexnet_jax.training.divergence import diverged
from alexnet_jax.training.evaluation import evaluate
from alexnet_jax.training.hooks import Pace
from alexnet_jax.training.layouts import Layout
from alexnet_jax.training.metrics_log import MetricsLog
from alexnet_jax.training.optimizer.schedule import learning_rates, observe_error
from alexnet_jax.training.steps.state import TrainState

_learning_rates = jax.jit(learning_rates, static_argnames="config")


@dataclass(frozen=True)
class Validation:
    """The evaluations of a run.

    Attributes:
        config: the run.
        data: its data set.
        layout: compiles and runs the evaluations.
        log: gets a row for each split.
        display: shows the progress.
        stop: ends an evaluation between two batches.
        team: the processes that evaluate together.
    """

    config: TrainConfig
    data: DataSet
    layout: Layout
    log: MetricsLog
    display: Display
    stop: StopRequest
    team: Team

    def after(self, state: TrainState, step: int) -> TrainState:
        """Evaluates on the validation images, if there are any that the run has not trained on, and on the test images.

        The checkpoint of ``step`` holds the state before the evaluation. A run that resumes from it repeats the
        evaluations that have no row in metrics.jsonl, and those that the rule "plateau" observes. So no result depends
        on metrics.jsonl.

        Args:
            state: as ``layout`` places it.
            step: the number of steps taken.

        Returns:
            The state with its ``plateau`` updated by the validation error, if the rule "plateau" observes it.

        Raises:
            StoppedError: a signal arrived before the end of the evaluation.
            NotFiniteError: the outputs of the net are not finite numbers.
        """
        validation = self.data.validation if validates_after(self.config, step) else None
        observes = observes_after(self.config, step)
        plateau = state.plateau
        if validation is not None and (observes or not self._is_done(step, "validation")):
            error = self._evaluate(validation, "validation", state, step)
            plateau = observe_error(plateau, error, self.config.schedule) if observes else plateau
        if not self._is_done(step, "test"):
            self._evaluate(self.data.test, "test", state, step)
        if observes and int(plateau.drops) > int(state.plateau.drops):
            self.display.say(f"step {step}: the validation error stopped improving, the learning rate drops")
        return state.replace(plateau=plateau)

    def _is_done(self, step: int, split: str) -> bool:
        return bool(self.team.from_main(np.array(self.log.has_evaluation(step, split))))

    def _evaluate(self, source: Source, split: str, state: TrainState, step: int) -> float:
        pace = Pace()

        def show(done: int) -> None:
            if done == 0:  # compiled
                pace.restart()
            self.display.advance(step, f"{split}: {done} of {len(source)} images")
            self.stop.check()

        try:
            watch = partial(self.team.watch, activity="evaluates")
            metrics = evaluate(state, self.layout, source, on_batch=show, watch=watch)
        except NotFiniteError as error:
            raise diverged(
                f"the loss on {split} images is not a finite number after step {step:,}", self.config
            ) from error
        if not self.log.has_evaluation(step, split):
            rates = _learning_rates(np.asarray(state.step) - 1, state.plateau, config=self.config)
            speed = pace.images_per_second(len(source))
            self.log.write_evaluation_row(step, split, metrics, float(rates.kernel), speed)
        return metrics["top1_error"]
