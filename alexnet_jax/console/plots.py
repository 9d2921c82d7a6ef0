"""Pictures of a run: its curves and the kernels of its first layer."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import PyTree

from alexnet_jax.config import ModelConfig, TrainConfig

Row = dict[str, Any]


def _new_figure(**options: Any) -> Any:
    from matplotlib.figure import Figure  # slow to import

    return Figure(layout="constrained", **options)


def draw_curves(rows: list[Row], config: TrainConfig, path: Path) -> None:
    """Loss and top-1 error over the epochs, one line for each split, with the drops of the learning rate."""
    figure = _new_figure(figsize=(10, 4))
    colours = {"train": "tab:blue", "validation": "tab:green", "test": "tab:orange"}
    for axes, name, label in zip(
        figure.subplots(1, 2), ("loss", "top1_error"), ("cross-entropy (nats)", "top-1 error"), strict=True
    ):
        for split, colour in colours.items():
            points = [(row["epoch"], row[name]) for row in rows if row["split"] == split]
            if points:
                axes.plot(*zip(*points, strict=True), color=colour, label=split, marker="." if len(points) < 60 else "")
        for epoch in _rate_drops(rows):
            axes.axvline(
                epoch,
                color="0.7",
                linestyle=":",
                label="learning rate drops" if epoch == _rate_drops(rows)[0] else None,
            )
        axes.set(xlabel="epoch", ylabel=label, xlim=(0, config.epochs), ylim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, path)


def _rate_drops(rows: list[Row]) -> list[float]:
    """Epochs of the last training rows before the learning rate changed."""
    training = [row for row in rows if row["split"] == "train"]
    pairs = pairwise(training)
    return [before["epoch"] for before, after in pairs if before["learning_rate"] != after["learning_rate"]]


def draw_filters(params: PyTree, config: ModelConfig, path: Path) -> None:
    """The kernels of conv1, one block for each tower (paper, Figure 3), each scaled to the whole range of colours."""
    kernels = np.asarray(params["conv1"]["kernel"])
    towers = np.split(kernels, config.towers, axis=-1)
    columns = 8 if towers[0].shape[-1] <= 32 else 16
    tower_rows = -(-towers[0].shape[-1] // columns)
    figure = _new_figure(figsize=(0.55 * columns, 0.55 * tower_rows * config.towers + 0.4 * config.towers))
    blocks = figure.subplots(config.towers, 1, squeeze=False)[:, 0]
    for number, (axes, tower) in enumerate(zip(blocks, towers, strict=True), start=1):
        axes.imshow(_tile(tower, columns), interpolation="nearest", cmap="gray")
        axes.set_title(f"conv1, tower {number} of {config.towers}" if config.towers > 1 else "conv1", fontsize=9)
        axes.set_axis_off()
    _save(figure, path)


def _tile(kernels: np.ndarray, columns: int) -> np.ndarray:
    """Kernels (height, width, in, out) side by side in rows of ``columns``, a white line between them."""
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


def _save(figure: Any, path: Path) -> None:
    draft = path.with_name(f".{path.name}")
    figure.savefig(draft, format="png", dpi=130)
    draft.replace(path)
