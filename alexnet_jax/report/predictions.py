"""The predictions of a net on a split, with the numbers that a report shows."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Set
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.data.pipeline import evaluation_batches
from alexnet_jax.data.source import Source
from alexnet_jax.errors import AlexNetError
from alexnet_jax.training.evaluation import BATCH_SIZE, check_outputs
from alexnet_jax.training.layouts import Layout
from alexnet_jax.training.steps.state import TrainState


@dataclass(frozen=True)
class Prediction:
    """The prediction of one image.

    Attributes:
        index: the image's index in its split.
        label: its label.
        best: the most probable classes, as probabilities and labels in descending order.
        probability: that of the label.
    """

    index: int
    label: int
    best: tuple[tuple[float, int], ...]
    probability: float

    @property
    def is_right(self) -> bool:
        """Whether the label is the most probable class."""
        return self.best[0][1] == self.label


@dataclass(frozen=True)
class Predictions:
    """The predictions on a split.

    Attributes:
        confusion: the number of images of each label (rows) with each prediction (columns).
        top5_error: the fraction of images whose label is not among the five most probable classes.
        loss: the mean cross-entropy, in nats.
        chosen: the predictions of the images that were asked for, in order.
        worst: the mistakes with the highest probability of the wrong class, the highest first.
    """

    confusion: Int[np.ndarray, "labels predictions"]
    top5_error: float
    loss: float
    chosen: tuple[Prediction, ...]
    worst: tuple[Prediction, ...]

    @property
    def count(self) -> int:
        """The number of images."""
        return int(self.confusion.sum())

    @property
    def top1_error(self) -> float:
        """The fraction of images whose label is not the most probable class."""
        return 1 - float(np.trace(self.confusion)) / self.count

    def most_confused(self, count: int) -> list[tuple[int, int, int]]:
        """The most frequent mistakes: label, prediction and number of images."""
        mistakes = self.confusion * (1 - np.eye(len(self.confusion), dtype=np.int64))
        order = np.argsort(-mistakes, axis=None, kind="stable")[:count]
        labels, predictions = np.unravel_index(order, mistakes.shape)
        rows = zip(labels.tolist(), predictions.tolist(), strict=True)
        return [(label, found, int(mistakes[label, found])) for label, found in rows if mistakes[label, found]]


def predict_all(
    state: TrainState,
    layout: Layout,
    source: Source,
    classes: int,
    chosen: Set[int],
    worst: int,
    on_batch: Callable[[int], None] = lambda done: None,
) -> Predictions:
    """Predicts every image of a split from the views of the run. The memory does not grow with the number of images.

    Args:
        state: as ``layout`` places it.
        layout: compiles and runs the step.
        source: the images.
        classes: the number of classes.
        chosen: the indices of images whose predictions are kept.
        worst: the number of mistakes to keep.
        on_batch: called with the number of images after each batch.

    Raises:
        NotFiniteError: the outputs of the net are not finite numbers.
        AlexNetError: no image has a label.
    """
    confusion = np.zeros((classes, classes), np.int64)
    missed5 = done = 0
    loss = 0.0
    kept: dict[int, Prediction] = {}
    mistakes: list[tuple[float, int, Prediction]] = []
    for batch in evaluation_batches(source, min(BATCH_SIZE, len(source))):
        count = min(len(batch["label"]), len(source) - done)
        labels = batch["label"][:count]
        scores = np.asarray(layout.predict_step(state, batch["image"]))[:count]
        check_outputs(scores, "the net")
        order = np.argsort(-scores, axis=1, kind="stable")[:, :5]
        counts = labels != PADDING_LABEL
        np.add.at(confusion, (labels[counts], order[counts, 0]), 1)
        missed5 += int((order[counts] != labels[counts, None]).all(axis=1).sum())
        loss -= float(scores[counts, labels[counts]].sum())
        for row in np.flatnonzero(counts):
            index = done + int(row)
            probability = float(np.exp(scores[row, order[row, 0]]))
            is_worst = order[row, 0] != labels[row] and (len(mistakes) < worst or probability > mistakes[0][0])
            if index in chosen or is_worst:
                prediction = _prediction(index, int(labels[row]), scores[row], order[row])
                if index in chosen:
                    kept[index] = prediction
                if is_worst:
                    heapq.heappush(mistakes, (probability, -index, prediction))
                    if len(mistakes) > worst:
                        heapq.heappop(mistakes)
        done += count
        on_batch(done)
    total = int(confusion.sum())
    if total == 0:
        raise AlexNetError(f"none of the {len(source)} images has a label: nothing to report")
    ranked = tuple(prediction for *_, prediction in sorted(mistakes, reverse=True))
    return Predictions(confusion, missed5 / total, loss / total, tuple(kept[index] for index in sorted(kept)), ranked)


def _prediction(
    index: int, label: int, scores: Float[np.ndarray, " classes"], order: Int[np.ndarray, " best"]
) -> Prediction:
    best = tuple((float(np.exp(scores[found])), int(found)) for found in order)
    return Prediction(index, label, best, float(np.exp(scores[label])))
