"""Runs and nets as lines and tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
from rich.table import Table

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.data.source import DataSet
from alexnet_jax.net.summary import Summary, summarize_model
from alexnet_jax.variants import VARIANTS, variant


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
