"""The plot of a record."""

from __future__ import annotations

from pathlib import Path

from alexnet_jax.console.plots import draw_spread
from alexnet_jax.figures import new_figure, save_figure
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
    draw_spread(dots, list(record.figures.items()))
    dots.set(xlabel=f"{experiment.figure} (line: mean)")
    save_figure(figure, path)
