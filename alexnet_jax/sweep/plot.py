"""The plot of a sweep: the errors of each setting."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from alexnet_jax.console.plots import new_figure, save_figure
from alexnet_jax.sweep.results import SettingResult


def draw_sweep(settings: Sequence[SettingResult], path: Path) -> None:
    """Draws a row for each setting: a dot for the error of each seed, and a line at their mean.

    The errors are those of the validation images if all settings have some, because these may choose a setting.

    Args:
        settings: the rows, from the top.
        path: the PNG file to write.
    """
    has_validation = all(each.validation_top1_errors for each in settings)
    figure = new_figure(figsize=(7, 1.2 + 0.35 * len(settings)))
    axes = figure.subplots()
    for row, each in enumerate(settings):
        errors = each.validation_top1_errors if has_validation else each.top1_errors
        if errors:
            axes.plot(errors, [row] * len(errors), "o", color="tab:blue", alpha=0.6)
            axes.plot([statistics.mean(errors)], [row], "|", color="black", markersize=16, markeredgewidth=2)
        if each.diverged:
            text = f"{each.diverged} diverged"
            axes.text(0.99, row, text, transform=axes.get_yaxis_transform(), ha="right", va="center", color="tab:red")
    axes.set_yticks(range(len(settings)), [str(each.setting) for each in settings])
    axes.set(xlabel=f"top-1 error on {'validation' if has_validation else 'test'} images (line: mean)")
    axes.set_ylim(len(settings) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    save_figure(figure, path)
