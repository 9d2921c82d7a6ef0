"""Errors over a data set, in which each example counts once, and predictions for single images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence, Set

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.config import Views
from alexnet_jax.data.pipeline import evaluation_batches
from alexnet_jax.data.source import Example, Source
from alexnet_jax.errors import AlexNetError, NotFiniteError
from alexnet_jax.training.layouts import Layout
from alexnet_jax.training.steps.metrics import Metrics, summarize
from alexnet_jax.training.steps.state import TrainState

BATCH_SIZE = 200
"""Images in one evaluation step. No result depends on it."""


def evaluate(
    state: TrainState,
    layout: Layout,
    source: Source,
    views: Views | None = None,
    on_batch: Callable[[int], None] = lambda done: None,
    watch: Callable[[Iterable[Example]], Iterable[Example]] = iter,
) -> dict[str, float]:
    """Evaluates a net on all examples of a source.

    Args:
        state: as ``layout`` places it.
        layout: compiles and runs the steps.
        source: the examples.
        views: as in ``predict_step``: None for those of the run.
        on_batch: called with the number of examples evaluated so far: 0 after the compilation, then after each batch.
        watch: passes the batches on.

    Returns:
        ``loss`` (nats), ``top1_error`` and ``top5_error`` (fractions), and ``count``, the number of examples.

    Raises:
        NotFiniteError: the outputs of the net are not finite numbers.
        AlexNetError: no example has a label.
    """

    def compile_step(batch: Example) -> None:
        layout.compile_eval_step(state, batch, views)

    index, count = layout.rows
    batch_size = -(-min(BATCH_SIZE, len(source)) // count) * count
    batches = watch(evaluation_batches(source, batch_size, index, count))
    return _average(lambda batch: layout.eval_step(state, batch, views), batches, len(source), on_batch, compile_step)


def evaluate_ensemble(
    nets: Sequence[tuple[TrainState, Layout]], source: Source, views: Views | None = None
) -> dict[str, float]:
    """Evaluates the mean of the probabilities of several nets (paper, Table 2).

    Args:
        nets: states, each with the layout that placed it.
        source: as in ``evaluate``.
        views: as in ``evaluate``.

    Returns:
        As ``evaluate``, which has the same errors.
    """

    def step(batch: Example) -> Metrics:
        return summarize(jnp.asarray(_mean_scores(nets, batch, views)), jnp.asarray(batch["label"]))

    return _average(step, evaluation_batches(source, min(BATCH_SIZE, len(source))), len(source))


def evaluate_label_sets(
    nets: Sequence[tuple[TrainState, Layout]], source: Source, labels: Sequence[Set[int]], views: Views | None = None
) -> dict[str, float]:
    """Evaluates the mean of the probabilities of nets where any of several labels is right, as with ReaL labels.

    Args:
        nets: states, each with the layout that placed it.
        source: the examples. The label of each is its index in ``labels``, or -1 if it does not count.
        labels: the sets of right labels.
        views: as in ``evaluate``.

    Returns:
        ``top1_error``, the fraction of examples whose most probable label is not right, and ``count``.

    Raises:
        NotFiniteError: the outputs of a net are not finite numbers.
        AlexNetError: no example counts.
    """
    wrong = count = 0
    for batch in evaluation_batches(source, min(BATCH_SIZE, len(source))):
        best = _mean_scores(nets, batch, views).argmax(axis=-1)
        for index, found in zip(batch["label"], best, strict=True):
            if index != PADDING_LABEL:
                count += 1
                wrong += int(found) not in labels[index]
    if count == 0:
        raise AlexNetError(f"none of the {len(source)} images has a label: nothing to evaluate")
    return {"top1_error": wrong / count, "count": count}


def _mean_scores(
    nets: Sequence[tuple[TrainState, Layout]], batch: Example, views: Views | None
) -> Float[np.ndarray, "batch classes"]:
    """The logarithm of the mean probabilities of several nets."""
    scores = [np.asarray(layout.predict_step(state, batch["image"], views)) for state, layout in nets]
    for index, one in enumerate(scores, start=1):
        check_outputs(one, f"net {index} of {len(nets)}" if len(nets) > 1 else "the net")
    return np.logaddexp.reduce(scores) - np.float32(np.log(len(nets)))


def _average(
    step: Callable[[Example], Metrics],
    batches: Iterable[Example],
    images: int,
    on_batch: Callable[[int], None] = lambda done: None,
    compile_step: Callable[[Example], None] = lambda batch: None,
) -> dict[str, float]:
    loss, wrong1, wrong5, count = 0.0, 0, 0, 0
    for batch in batches:
        if count == 0:
            compile_step(batch)
            on_batch(0)
        metrics = {name: float(value) for name, value in step(batch).items()}
        if not math.isfinite(metrics["loss"]):
            raise _not_finite("the net")
        examples = round(metrics["count"])
        loss += metrics["loss"] * examples
        wrong1 += round(metrics["top1_error"] * examples)
        wrong5 += round(metrics["top5_error"] * examples)
        count += examples
        on_batch(count)
    if count == 0:
        raise AlexNetError(f"none of the {images} images has a label (all labels are -1): nothing to evaluate")
    return {"loss": loss / count, "top1_error": wrong1 / count, "top5_error": wrong5 / count, "count": count}


def predict_images(
    state: TrainState,
    layout: Layout,
    images: UInt8[np.ndarray, "batch size size channels"],
    batch_size: int,
    views: Views | None = None,
    top: int = 5,
) -> list[list[tuple[float, int]]]:
    """The most probable classes of one batch of stored images.

    Args:
        state: the trained state, as ``layout`` places it.
        layout: the devices.
        images: at most ``batch_size`` images. They are padded to that number, so that all batches share one
            compilation.
        batch_size: the number of images of a full batch.
        views: as in ``evaluate``.
        top: the number of classes for each image.

    Returns:
        For each image, probabilities and labels in descending order.

    Raises:
        NotFiniteError: the outputs of the net are not finite numbers.
    """
    padded = np.pad(images, [(0, batch_size - len(images)), (0, 0), (0, 0), (0, 0)])
    scores = np.asarray(layout.predict_step(state, jnp.asarray(padded), views))[: len(images)]
    check_outputs(scores, "the net")
    labels = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [(float(np.exp(image_scores[label])), int(label)) for label in image_labels]
        for image_scores, image_labels in zip(scores, labels, strict=True)
    ]


def check_outputs(scores: Float[np.ndarray, "batch classes"], net: str) -> None:
    """Checks the outputs of a net, whose name is ``net`` in the error.

    Raises:
        NotFiniteError: some are not finite numbers.
    """
    if not np.isfinite(scores).all():
        raise _not_finite(net)


def _not_finite(net: str) -> NotFiniteError:
    return NotFiniteError(
        f"the outputs of {net} are not finite numbers: its weights are damaged or its training diverged; use another "
        "checkpoint or file"
    )
