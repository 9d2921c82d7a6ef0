"""Plots of a run: its loss and error, and the kernels of its first layer."""

from __future__ import annotations

import io
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, PyTree

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.figures import new_figure, save_figure

Row = dict[str, Any]
_MOST_NAMED_CLASSES = 30
_MOST_NUMBERED_CLASSES = 15


def draw_spread(axes: Any, groups: Sequence[tuple[str, Sequence[float]]]) -> None:
    """Draws a row for each group, from the top: its name, a dot for each value, and a line at their mean.

    Args:
        axes: of Matplotlib.
        groups: the names and the values. A group may have no values.
    """
    for row, (_, values) in enumerate(groups):
        if values:
            axes.plot(values, [row] * len(values), "o", color="tab:blue", alpha=0.6)
            axes.plot([statistics.mean(values)], [row], "|", color="black", markersize=16, markeredgewidth=2)
    axes.set_yticks(range(len(groups)), [name for name, _ in groups])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def draw_curves(rows: list[Row], config: TrainConfig, path: Path) -> None:
    """Writes ``plot_curves`` to the PNG file ``path``."""
    save_figure(plot_curves(rows, config), path)


def plot_curves(rows: list[Row], config: TrainConfig) -> Any:
    """Plots loss and top-1 error over the epochs, one line for each split, and where the learning rate drops.

    Args:
        rows: the rows of metrics.jsonl. Training rows of fewer than ``config.log_every`` steps, as before a checkpoint
            or a stop, are averaged with the rows after them.
        config: the run.

    Returns:
        The Matplotlib figure.
    """
    figure = new_figure(figsize=(10, 4))
    training = [row for row in rows if row["split"] == "train"]
    drops = _rate_drops(training)
    lines = {
        ("train", "tab:blue"): merge_short_rows(training, config.log_every),
        ("validation", "tab:green"): [row for row in rows if row["split"] == "validation"],
        ("test", "tab:orange"): [row for row in rows if row["split"] == "test"],
    }
    for axes, name, label in zip(
        figure.subplots(1, 2), ("loss", "top1_error"), ("cross-entropy (nats)", "top-1 error"), strict=True
    ):
        for (split, colour), points in lines.items():
            if points:
                epochs, values = [row["epoch"] for row in points], [row[name] for row in points]
                axes.plot(epochs, values, color=colour, label=split, marker="." if len(points) < 60 else "")
        for index, epoch in enumerate(drops):
            axes.axvline(epoch, color="0.7", linestyle=":", label="learning rate drops" if index == 0 else None)
        axes.set(xlabel="epoch", ylabel=label, xlim=(0, config.epochs), ylim=(0, None))
        axes.grid(alpha=0.3)
        if axes.has_data():  # rows may have been lost
            axes.legend()
    return figure


def merge_short_rows(training: list[Row], steps: int) -> list[Row]:
    """Averages consecutive training rows until each result covers at least ``steps`` steps.

    Loss and error are weighted by the number of steps. The other values are those of the last row. Rows without
    ``steps``, which older versions wrote, count as ``steps`` steps. Rows left over at the end join the last result.
    """
    groups: list[list[Row]] = []
    for row in training:
        if groups and _steps_in(groups[-1], steps) < steps:
            groups[-1].append(row)
        else:
            groups.append([row])
    if len(groups) > 1 and _steps_in(groups[-1], steps) < steps:
        groups[-2].extend(groups.pop())
    return [_average(group, steps) for group in groups]


def _steps_in(group: list[Row], default: int) -> int:
    return sum(row.get("steps", default) for row in group)


def _average(group: list[Row], default: int) -> Row:
    total = _steps_in(group, default)
    means = {
        name: sum(row[name] * row.get("steps", default) for row in group) / total for name in ("loss", "top1_error")
    }
    return group[-1] | means | {"steps": total}


def _rate_drops(training: list[Row]) -> list[float]:
    """The epochs of the last training rows before the learning rate changed."""
    pairs = pairwise(training)
    return [before["epoch"] for before, after in pairs if before["learning_rate"] != after["learning_rate"]]


def draw_filters(params: PyTree, config: ModelConfig, path: Path) -> None:
    """Writes ``plot_filters`` to the PNG file ``path``."""
    save_figure(plot_filters(params, config), path)


def plot_filters(params: PyTree, config: ModelConfig) -> Any:
    """Draws the kernels of conv1, one block for each tower (paper, Figure 3).

    Args:
        params: the parameters of the net. Each kernel is scaled to the full range of colours.
        config: the net.

    Returns:
        The Matplotlib figure.
    """
    kernels = np.asarray(params["conv1"]["kernel"])
    if kernels.ndim == 6:  # locally connected: those of the position in the middle
        kernels = kernels[kernels.shape[0] // 2, kernels.shape[1] // 2]
    towers = np.split(kernels, config.towers, axis=-1)
    columns = 8 if towers[0].shape[-1] <= 32 else 16
    tower_rows = -(-towers[0].shape[-1] // columns)
    figure = new_figure(figsize=(0.55 * columns, 0.55 * tower_rows * config.towers + 0.4 * config.towers))
    blocks = figure.subplots(config.towers, 1, squeeze=False)[:, 0]
    for number, (axes, tower) in enumerate(zip(blocks, towers, strict=True), start=1):
        axes.imshow(_tile(tower, columns), interpolation="nearest", cmap="gray")
        axes.set_title(f"conv1, tower {number} of {config.towers}" if config.towers > 1 else "conv1", fontsize=9)
        axes.set_axis_off()
    return figure


def plot_confusion(counts: Int[np.ndarray, "labels predictions"], class_names: Sequence[str]) -> Any:
    """Draws a confusion matrix. Each row is scaled by its number of images.

    Args:
        counts: the number of images of each label (rows) with each prediction (columns).
        class_names: the names of the classes, which are written beside at most 30 of them.

    Returns:
        The Matplotlib figure.
    """
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = new_figure(figsize=(6.5, 6))
    axes = figure.subplots()
    image = axes.imshow(fractions, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    axes.set(xlabel="predicted class", ylabel="true class")
    if len(counts) <= _MOST_NAMED_CLASSES:
        axes.set_xticks(range(len(counts)), class_names, rotation=90)
        axes.set_yticks(range(len(counts)), class_names)
    if len(counts) <= _MOST_NUMBERED_CLASSES:
        for (row, column), fraction in np.ndenumerate(fractions):
            if counts[row, column]:
                colour = "white" if fraction > 0.5 else "black"
                axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour, fontsize=9)
    figure.colorbar(image, label="fraction of the true class", shrink=0.8)
    return figure


def to_svg(figure: Any) -> str:
    """A figure as the ``<svg>`` element of an HTML page. Equal figures give equal texts."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "alexnet", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _tile(kernels: np.ndarray, columns: int) -> np.ndarray:
    """Arranges kernels (height, width, in, out) in rows of ``columns``, with white lines between them."""
    low, high = kernels.min(axis=(0, 1, 2)), kernels.max(axis=(0, 1, 2))
    scaled = (kernels - low) / np.maximum(high - low, 1e-12)
    if scaled.shape[2] != 3:
        scaled = scaled.mean(axis=2, keepdims=True)
    size = scaled.shape[0] + 1
    rows = -(-scaled.shape[-1] // columns)
    sheet = np.ones((rows * size - 1, columns * size - 1, scaled.shape[2]))
    for index in range(scaled.shape[-1]):
        top, left = index // columns * size, index % columns * size
        sheet[top : top + size - 1, left : left + size - 1] = scaled[..., index]
    return sheet
