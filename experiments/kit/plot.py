"""The plot of a record."""

from __future__ import annotations

import statistics
from pathlib import Path

from alexnet_jax.console.plots import new_figure, save_figure
from experiments.kit.experiment import Experiment
from experiments.kit.record import Record


def draw_record(record: Record, experiment: Experiment, path: Path) -> None:
    """Draws the test errors of each arm over the epochs, and the figures that are compared.

    Args:
        record: what was measured.
        experiment: names the figures.
        path: the PNG file to write.
    """
    figure = new_figure(figsize=(10, 1.8 + 0.35 * max(4, len(record.figures))))
    curves, dots = figure.subplots(1, 2)
    for number, arm in enumerate(record.configs):
        for run in record.runs:
            if run["arm"] == arm and not run["diverged"]:
                epochs, errors, _ = zip(*run["test_curve"], strict=True)
                label = arm if run["seed"] == 0 else None
                curves.plot(epochs, errors, color=f"C{number % 10}", alpha=0.7, linewidth=1, label=label)
    curves.set(xlabel="epoch", ylabel="top-1 error on test images")
    curves.grid(alpha=0.3)
    curves.legend(fontsize="small")
    for row, values in enumerate(record.figures.values()):
        dots.plot(values, [row] * len(values), "o", color="tab:blue", alpha=0.6)
        dots.plot([statistics.mean(values)], [row], "|", color="black", markersize=16, markeredgewidth=2)
    dots.set_yticks(range(len(record.figures)), list(record.figures))
    dots.set_ylim(len(record.figures) - 0.5, -0.5)
    dots.set(xlabel=f"{experiment.figure} (line: mean)")
    dots.grid(axis="x", alpha=0.3)
    save_figure(figure, path)
