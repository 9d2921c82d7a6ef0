"""Pictures of features: nearest images, and the similarity of layers. All are readable at the width of a phone."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_jax.figures import new_figure, save_figure
from alexnet_jax.readout.similarity import Compared

_WIDTH = 6.0  # inches, at 130 dots each


@dataclass(frozen=True)
class Panel:
    """An image and its nearest images.

    Attributes:
        query: its name and its pixels.
        nearest: name, pixels and distance of each nearest image.
    """

    query: tuple[str, np.ndarray]
    nearest: Sequence[tuple[str, np.ndarray, float]]


def draw_nearest(panels: Sequence[Panel], layer: str, path: Path) -> None:
    """Draws a row for each panel, the query on the left (paper, Figure 4).

    Args:
        panels: the rows.
        layer: the layer whose distances were compared.
        path: the PNG file to write.
    """
    columns = 1 + max(len(panel.nearest) for panel in panels)
    width = max(_WIDTH, columns * _WIDTH / 7)
    side = width / (columns + 0.4)
    figure = new_figure(figsize=(width, (side + 0.6) * len(panels) + 0.4))
    widths = [1, 0.15, *[1] * (columns - 1)]
    grid = figure.subplots(len(panels), columns + 1, squeeze=False, width_ratios=widths)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, panel in zip(grid, panels, strict=True):
        _show(row[0], panel.query[1], _short(panel.query[0]))
        for axes, (name, pixels, distance) in zip(row[2:], panel.nearest, strict=False):
            _show(axes, pixels, f"{distance:#.3g}\n{_short(name)}")
    figure.suptitle(f"Nearest images by distance in {layer}, the query on the left", fontsize=11)
    save_figure(figure, path)


def _show(axes: Any, pixels: np.ndarray, caption: str) -> None:
    axes.imshow(pixels.squeeze(), cmap="gray", vmin=0, vmax=255)
    axes.set_title(caption, fontsize=8.5, y=0, va="top", pad=-3, parse_math=False)


def _short(name: str, most: int = 24, line: int = 12) -> str:
    """The end of a path, in lines of some characters."""
    text = name if len(name) <= most else f"...{name[3 - most :]}"
    return "\n".join(textwrap.wrap(text, line)) or text


def draw_similarity(found: Mapping[str, Compared], a: str, b: str, distance: str, path: Path) -> None:
    """Draws the three measures by layer, and below them both dissimilarity matrices of each layer.

    The colour of a distance is its rank among those of its matrix.

    Args:
        found: the comparison of each layer.
        a: the name of one file.
        b: that of the other.
        distance: the name of the distance.
        path: the PNG file to write.
    """
    rows = -(-len(found) // 2)
    figure = new_figure(figsize=(_WIDTH, 3.2 + 1.8 * rows))
    top, bottom = figure.subfigures(2, 1, height_ratios=[3.2, 1.8 * rows])
    figure.suptitle(f"A: {_short(a, 60, 60)}\nB: {_short(b, 60, 60)}", fontsize=10, parse_math=False)
    _plot_measures(top.subplots(), found)
    bottom.suptitle(f"Rank of the {distance} distance of each pair of images, from near (dark) to far", fontsize=9)
    grid = bottom.subplots(rows, 5, squeeze=False, width_ratios=[1, 1, 0.12, 1, 1])
    for axes in grid.flat:
        axes.set_axis_off()
    places = [(row, first) for row in range(rows) for first in (0, 3)]
    for (name, each), (row, first) in zip(found.items(), places, strict=False):
        for axes, matrix, file in zip(grid[row, first : first + 2], (each.a, each.b), "AB", strict=True):
            axes.imshow(_ranks(matrix), cmap="viridis", vmin=0, vmax=1)
            axes.set_title(f"{name}, {file}", fontsize=9, pad=3, parse_math=False)
    save_figure(figure, path)


def _plot_measures(axes: Any, found: Mapping[str, Compared]) -> None:
    measures = {"cka": "linear CKA", "spearman": "RSA, Spearman", "kendall": "RSA, Kendall"}
    places = np.arange(len(found))
    for (key, label), marker in zip(measures.items(), "os^", strict=True):
        values = [getattr(each.similarity, key) for each in found.values()]
        axes.plot(places, values, marker=marker, label=label)
    axes.set_xticks(places, list(found), rotation=0 if len(found) <= 6 else 30, fontsize=9, parse_math=False)
    axes.set(ylim=(min(axes.get_ylim()[0], -0.05), 1.05), ylabel="similarity")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


def _ranks(matrix: np.ndarray) -> np.ndarray:
    """The rank of each distance among those of the other pairs, from 0 to 1."""
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    return np.searchsorted(np.sort(pairs), matrix) / max(len(pairs) - 1, 1)
