"""Runs and nets as text and tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table
from rich.text import Text

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.data.source import DataSet
from alexnet_jax.net.summary import Summary, summarize_model
from alexnet_jax.variants import VARIANTS, variant


def plain_table(*columns: str) -> Table:
    """A table without lines: text on the left, numbers on the right. Its columns are closer on narrow terminals."""
    table = Table(box=None, pad_edge=False, header_style="bold", collapse_padding=Console().width < 80)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def fields_table(fields: Mapping[str, str]) -> Table:
    """Names on the left and texts on the right, which wrap at the edge of the terminal."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in fields.items():
        table.add_row(Text(name), Text(text))
    return table


def summary_table(summary: Summary) -> Table:
    """The layers of a net, with their windows, output shapes, parameters and multiply-accumulates."""
    table = plain_table("layer", "kernel", "stride", "groups", "output", "parameters", "MACs")
    for row in summary.rows:
        table.add_row(
            row.name,
            f"{row.kernel}x{row.kernel}" if row.kernel else "",
            str(row.stride or ""),
            str(row.groups or ""),
            "x".join(map(str, row.shape)),
            f"{row.parameters:,}" if row.parameters else "",
            f"{row.macs:,}" if row.macs else "",
        )
    return table


def describe_totals(summary: Summary) -> str:
    """The parameters and multiply-accumulates of a net, and its memory for one image, one per line."""
    sizes = {
        "image": summary.input_bytes,
        "outputs and gradients": summary.activation_bytes,
        "parameters": summary.parameter_bytes,
    }
    lines = [
        f"{summary.parameters:,} parameters, {summary.macs:,} MACs",
        "Memory for one image, in float32:",
        *(f"  {name:<21} {_megabytes(size)}" for name, size in sizes.items()),
        f"  {'total':<21} {_megabytes(sum(sizes.values()))}",
    ]
    return "\n".join(lines)


def _megabytes(size: int) -> str:
    return f"{size / 2**20:8,.2f} MiB"


def variants_table() -> Table:
    """The named nets with their sizes, in millions, and the first lines of their docstrings."""
    table = plain_table("variant", "pixels", "params\n(M)", "MACs\n(M)")
    table.add_column("description", ratio=1, overflow="fold")
    for name in VARIANTS:
        config = variant(name)
        summary = summarize_model(config)
        parameters, macs = f"{summary.parameters / 1e6:.2f}", f"{summary.macs / 1e6:,.1f}"
        table.add_row(name, str(config.image_size), parameters, macs, _description(name))
    return table


def variants_json() -> list[dict[str, Any]]:
    """The named nets as values for JSON."""
    nets = []
    for name in VARIANTS:
        config = variant(name)
        summary = summarize_model(config)
        nets.append(
            {
                "variant": name,
                "description": _description(name),
                "image_size": config.image_size,
                "channels": config.channels,
                "classes": config.classes,
                "towers": config.towers,
                "parameters": summary.parameters,
                "macs": summary.macs,
            }
        )
    return nets


def _description(name: str) -> str:
    """The first line of the variant's docstring."""
    return (VARIANTS[name].__doc__ or "").strip().splitlines()[0].replace("``", "")


def describe_net(config: ModelConfig) -> str:
    """The name of a net, its towers and its parameters, in one line."""
    towers = "1 tower" if config.towers == 1 else f"{config.towers} towers"
    return f"{_variant_name(config)}, {towers}, {summarize_model(config).parameters:,} parameters"


def _variant_name(config: ModelConfig) -> str:
    """The variant that equals ``config`` except for the number of classes, or ``custom``."""
    return next((name for name in VARIANTS if replace(variant(name), classes=config.classes) == config), "custom")


def describe_run(
    config: TrainConfig, root: str | Path, data: DataSet, held: dict[jax.Device, int], part: str, start: int
) -> str:
    """Describes a run in one line each for net, images, devices, data, steps, run directory and notes.

    Args:
        config: the run.
        root: its directory, or its URL.
        data: its data set, whose notes become lines.
        held: bytes of parameters and velocities by device.
        part: what each device holds.
        start: the step from which it starts or resumes.
    """
    crop, stored = config.model.image_size, config.data.image_size
    sizes = " and ".join(f"{size:,}" for size in dict.fromkeys(held.values()))
    idle = jax.local_device_count() - len(held)
    validation = "" if data.validation is None else f"{len(data.validation):,} to validate, "
    if config.data.fold_in_epoch is not None:
        validation += f"from epoch {config.data.fold_in_epoch} to train, "
    status = f"resumes at step {start:,}" if start else "from the start"
    lines = [
        ("net", describe_net(config.model)),
        ("images", f"{crop} x {crop} crops of {stored} x {stored} pixels"),
        (
            "devices",
            f"{len(held)} x {next(iter(held)).device_kind}, {part} on each, {sizes} bytes"
            + (f", {idle} not used" if idle else ""),
        ),
        (
            "data",
            f"{config.data.dataset}: {len(data.class_names):,} classes, {len(data.train):,} images to train, "
            f"{validation}{len(data.test):,} to test",
        ),
        (
            "run",
            f"{config.epochs} epochs x {config.steps_per_epoch:,} steps x {config.batch_size} images = "
            f"{config.steps:,} steps, " + ("already finished" if start == config.steps else status),
        ),
        ("workdir", str(root)),
        *(("note", note) for note in data.notes),
    ]
    return "\n".join(f"{name:<10}{text}" for name, text in lines)
