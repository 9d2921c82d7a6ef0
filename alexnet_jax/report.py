"""Runs and nets as tables, lines and pictures for people."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree
from rich.table import Table

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.data.sources import DataSet
from alexnet_jax.summary import Summary, summarize_model
from alexnet_jax.variants import VARIANTS, variant
from alexnet_jax.workdir import Row


def size_text(count: float) -> str:
    """Bytes in the unit that people read: MB of 2**20 bytes, as the layer tables of other programs print them."""
    return f"{count / 2**20:,.2f} MB"


def first_line(text: str | None) -> str:
    """The first line of a docstring."""
    return (text or "").strip().splitlines()[0]


def plain_table(*columns: str) -> Table:
    """A table without lines, words on the left and numbers on the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=index < len(columns))
    return table


def summary_table(summary: Summary) -> Table:
    """Layer, output shape for one image, parameters and multiply-accumulates, with totals and memory below."""
    table = plain_table("layer", "output shape", "parameters", "MACs")
    for row in summary.rows:
        table.add_row(row.name, " x ".join(map(str, row.shape)), f"{row.parameters:,}", f"{row.macs:,}")
    table.add_section()
    table.add_row("total", "", f"{summary.parameters:,}", f"{summary.macs:,}")
    table.add_section()
    sizes = {
        "input": summary.input_bytes,
        "forward and backward": summary.activation_bytes,
        "parameters": summary.parameter_bytes,
    }
    for name, size in [*sizes.items(), ("all of it", sum(sizes.values()))]:
        table.add_row(name, size_text(size), "", "")
    return table


def variants_table() -> Table:
    """The named nets with their counts and the first line of their docstrings."""
    table = plain_table("variant", "parameters", "MACs", "image", "classes")
    table.add_column("what it is")
    for name, make in VARIANTS.items():
        config = variant(name)
        summary = summarize_model(config)
        size = f"{config.image_size} x {config.image_size}"
        table.add_row(
            name, f"{summary.parameters:,}", f"{summary.macs:,}", size, f"{config.classes:,}", first_line(make.__doc__)
        )
    return table


def _variant_name(config: ModelConfig) -> str:
    """The variant whose net this is but for the classes, or what it can be called."""
    return next(
        (name for name in VARIANTS if replace(config, classes=variant(name).classes) == variant(name)), "custom"
    )


def describe_net(config: ModelConfig) -> str:
    """Name, towers and size of a net in one line."""
    return f"{_variant_name(config)}: {config.towers} tower(s), {summarize_model(config).parameters:,} parameters"


def describe_run(config: TrainConfig, root: Path, data: DataSet, held: dict[jax.Device, int], start: int) -> str:
    """What is about to happen: net, devices, data, steps."""
    share = "half of every layer and its velocity" if len(held) > 1 else "every layer and its velocity"
    kind = next(iter(held)).device_kind
    holds = ", ".join(f"{size:,} bytes on device {device.id}" for device, size in held.items())
    idle = jax.device_count() - len(held)
    validation = "" if data.validation is None else f", {len(data.validation):,} to validate"
    begin = f"going on from step {start:,}" if start else "from the start"
    lines = {
        "net": describe_net(config.model),
        "devices": f"{len(held)} x {kind}, {share} on each: {holds}" + (f"; {idle} more not used" if idle else ""),
        "data": f"{config.data.dataset}: {len(data.class_names):,} classes, {len(data.train):,} images to train"
        f"{validation}, {len(data.test):,} to test",
        "run": f"{config.epochs} epochs x {config.steps_per_epoch:,} steps x {config.batch_size} images = "
        f"{config.steps:,} steps, " + ("finished already" if start == config.steps else begin),
        "folder": f"{root}",
    }
    return "\n".join(f"{name:<9}{text}" for name, text in lines.items())


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
