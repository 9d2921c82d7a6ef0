"""Collects what a report shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from alexnet_jax import __version__
from alexnet_jax.console.plots import plot_confusion, plot_curves, plot_filters, to_svg
from alexnet_jax.console.tables import describe_net
from alexnet_jax.data.source import DataSet, Source
from alexnet_jax.readout.layers import last_hidden_layer
from alexnet_jax.report.neighbours import Neighbour, nearest_images, part_of
from alexnet_jax.report.page import Bar, Page, Picture
from alexnet_jax.report.predictions import Prediction, Predictions, predict_all
from alexnet_jax.report.run_time import time_spent
from alexnet_jax.training.layouts import Layout
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.variants.nearest import nearest_variant
from alexnet_jax.weights.describe import describe_nearest, describe_preprocessing, preprocessing_of
from alexnet_jax.weights.weights import Weights

_NEIGHBOURS = 6
_WORST = 16
_MOST_CONFUSED = 10


def make_page(
    run: RunDirectory,
    weights: Weights,
    data: DataSet,
    layout: Layout,
    images: int,
    neighbours_from: int,
    on_progress: Callable[[int, int], None] = lambda done, expected: None,
) -> Page:
    """Predicts all test images, finds the neighbours of some, and draws the figures.

    Args:
        run: the run directory.
        weights: its net.
        data: its data.
        layout: computes the predictions.
        images: the number of test images in the panel.
        neighbours_from: the largest number of training images among which their neighbours are looked for.
        on_progress: called with the numbers of images done and expected.

    Raises:
        NotFiniteError: the outputs of the net are not finite numbers.
        AlexNetError: no test image has a label.
    """
    config, rows = weights.config, run.read_metrics()
    looked_at = min(neighbours_from, len(data.train))
    expected = len(data.test) + looked_at
    chosen = np.unique(np.linspace(0, len(data.test) - 1, images).round().astype(np.int64)).tolist()
    predictions = predict_all(
        layout.place(weights.state()),
        layout,
        data.test,
        config.model.classes,
        frozenset(chosen),
        _WORST,
        lambda done: on_progress(done, expected),
    )
    shown = [prediction.index for prediction in predictions.chosen]
    near = nearest_images(
        weights,
        part_of(data.test, shown),
        data.train,
        _NEIGHBOURS,
        neighbours_from,
        lambda done: on_progress(len(data.test) + done, expected),
    )
    names = class_names(weights)
    return Page(
        title=run.root.resolve().name,
        facts=_facts(weights, data),
        errors=_errors(predictions),
        curves=to_svg(plot_curves(rows, config)) if rows else None,
        filters=to_svg(plot_filters(weights.params, config.model)),
        panel=[
            _panel_row(prediction, neighbours, data, names)
            for prediction, neighbours in zip(predictions.chosen, near, strict=True)
        ],
        panel_note=_panel_note(weights, data, looked_at),
        worst=[_mistake(prediction, data.test, names) for prediction in predictions.worst],
        confusion=to_svg(plot_confusion(predictions.confusion, names)),
        confused=[
            (names[label], names[found], count) for label, found, count in predictions.most_confused(_MOST_CONFUSED)
        ],
        time=time_spent(rows, config.batch_size, _examples(data)),
        version=__version__,
    )


def class_names(weights: Weights) -> list[str]:
    """The name of each class of the net."""
    known = weights.class_names
    return [*known, *(f"class {label}" for label in range(len(known), weights.config.model.classes))]


def _facts(weights: Weights, data: DataSet) -> dict[str, str]:
    config = weights.config
    validation = "" if data.validation is None else f", {len(data.validation):,} to validate"
    return {
        "net": f"{describe_nearest(nearest_variant(config.model))}: {describe_net(config.model)}",
        "images": describe_preprocessing(preprocessing_of(config, weights.statistics)),
        "data": f"{config.data.dataset}: {len(data.class_names):,} classes, {len(data.train):,} images to train"
        f"{validation}, {len(data.test):,} to test",
        "steps": f"{weights.step:,} of {config.steps:,}, of {config.batch_size} images, in {config.epochs} epochs",
        "optimizer": f"{config.optimizer.rule}, learning rate {config.optimizer.learning_rate:g}, momentum "
        f"{config.optimizer.momentum:g}, weight decay {config.optimizer.weight_decay:g}",
        "seed": str(config.seed),
    }


def _errors(predictions: Predictions) -> dict[str, str]:
    errors = {"top-1 error": f"{predictions.top1_error:.2%}"}
    if len(predictions.confusion) > 5:
        errors["top-5 error"] = f"{predictions.top5_error:.2%}"
    return errors | {"cross-entropy": f"{predictions.loss:.4f}", "test images": f"{predictions.count:,}"}


def _panel_row(prediction: Prediction, neighbours: Sequence[Neighbour], data: DataSet, names: Sequence[str]) -> Picture:
    near = [_picture(data.train, neighbour.index, names) for neighbour in neighbours]
    bars = [Bar(names[label], probability, label == prediction.label) for probability, label in prediction.best]
    return Picture(data.test[prediction.index]["image"], names[prediction.label], bars=bars, neighbours=near)


def _panel_note(weights: Weights, data: DataSet, looked_at: int) -> str:
    layer = last_hidden_layer(weights.params, weights.config.model)
    among = "the training images"
    if looked_at < len(data.train):
        among = f"{looked_at:,} of the {len(data.train):,} training images, chosen at random"
    return (
        f"A test image with its class, the most probable classes with the true one in green, and the {_NEIGHBOURS} "
        f"nearest of {among}, by the Euclidean distance of {layer} (paper, Figure 4)."
    )


def _picture(source: Source, index: int, names: Sequence[str]) -> Picture:
    example = source[index]
    return Picture(example["image"], names[int(example["label"])])


def _mistake(prediction: Prediction, source: Source, names: Sequence[str]) -> Picture:
    probability, found = prediction.best[0]
    return Picture(source[prediction.index]["image"], names[prediction.label], f"{names[found]} ({probability:.0%})")


def _examples(data: DataSet) -> dict[str, int]:
    splits = {"test": data.test, "validation": data.validation}
    return {name: len(source) for name, source in splits.items() if source is not None}
