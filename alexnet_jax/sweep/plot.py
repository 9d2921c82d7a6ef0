"""The plot of a sweep: the errors of each setting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alexnet_jax.console.plots import draw_spread
from alexnet_jax.figures import new_figure, save_figure
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
    draw_spread(
        axes,
        [(str(each.setting), each.validation_top1_errors if has_validation else each.top1_errors) for each in settings],
    )
    for row, each in enumerate(settings):
        if each.diverged:
            text = f"{each.diverged} diverged"
            axes.text(0.99, row, text, transform=axes.get_yaxis_transform(), ha="right", va="center", color="tab:red")
    axes.set(xlabel=f"top-1 error on {'validation' if has_validation else 'test'} images (line: mean)")
    save_figure(figure, path)
