"""Whole data sets to errors: every example counts once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import jax.numpy as jnp
import numpy as np

from alexnet_jax.data.pipeline import evaluation_batches
from alexnet_jax.data.source import Example, Source
from alexnet_jax.training.metrics import summarize
from alexnet_jax.training.parallel import Layout
from alexnet_jax.training.state import TrainState
from alexnet_jax.training.steps import Metrics, Views

BATCH_SIZE = 200
"""Images in one evaluation step; no result depends on it."""


def evaluate(
    state: TrainState,
    layout: Layout,
    source: Source,
    views: Views = "center",
    on_batch: Callable[[int], None] = lambda done: None,
) -> dict[str, float]:
    """``loss`` in nats, ``top1_error`` and ``top5_error`` as shares, and the ``count`` of examples they are over.

    ``state`` lies as ``layout`` places it. ``on_batch`` is told how many examples are done, 0 after compilation.
    """

    def prepare(batch: Example) -> None:
        layout.compile_eval_step(state, batch, views)

    return _totals(lambda batch: layout.eval_step(state, batch, views), source, on_batch, prepare)


def evaluate_ensemble(
    nets: Sequence[tuple[TrainState, Layout]], source: Source, views: Views = "center"
) -> dict[str, float]:
    """As ``evaluate``, for the mean of the probabilities that several nets give (paper, Table 2)."""

    def step(batch: Example) -> Metrics:
        scores = [np.asarray(layout.predict_step(state, batch["image"], views)) for state, layout in nets]
        mean = np.logaddexp.reduce(scores) - np.float32(np.log(len(nets)))
        return summarize(jnp.asarray(mean), jnp.asarray(batch["label"]))

    return _totals(step, source)


def _totals(
    step: Callable[[Example], Metrics],
    source: Source,
    on_batch: Callable[[int], None] = lambda done: None,
    prepare: Callable[[Example], None] = lambda batch: None,
) -> dict[str, float]:
    loss, wrong1, wrong5, count = 0.0, 0, 0, 0
    for batch in evaluation_batches(source, min(BATCH_SIZE, len(source))):
        if count == 0:
            prepare(batch)
            on_batch(0)
        metrics = {name: float(value) for name, value in step(batch).items()}
        examples = round(metrics["count"])
        loss += metrics["loss"] * examples
        wrong1 += round(metrics["top1_error"] * examples)
        wrong5 += round(metrics["top5_error"] * examples)
        count += examples
        on_batch(count)
    return {"loss": loss / count, "top1_error": wrong1 / count, "top5_error": wrong5 / count, "count": count}


def predict_images(
    state: TrainState, layout: Layout, images: list[np.ndarray], views: Views = "center", best: int = 5
) -> Iterator[list[tuple[float, int]]]:
    """The ``best`` probabilities and labels, largest first, for each of ``images``, uint8 (size, size, channels)."""
    batch_size = min(BATCH_SIZE, len(images))
    for start in range(0, len(images), batch_size or 1):
        part = np.stack(images[start : start + batch_size])
        whole = np.pad(part, [(0, batch_size - len(part)), (0, 0), (0, 0), (0, 0)])
        for scores in np.asarray(layout.predict_step(state, jnp.asarray(whole), views))[: len(part)]:
            labels = np.argsort(-scores, kind="stable")[:best]
            yield [(float(np.exp(scores[label])), int(label)) for label in labels]
