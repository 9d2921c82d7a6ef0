"""The estimates as text and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from typing import Any

from rich.table import Table

from alexnet_jax.config import TrainConfig
from alexnet_jax.console.tables import describe_net, plain_table
from alexnet_jax.plan.estimate import Exchange, LayoutPlan, fastest_layout
from alexnet_jax.plan.topology import Topology, devices_of
from alexnet_jax.training.layouts.stored_plan import planned_run

_FEW_IMAGES = 16
"""Images for each chip in a step below which a larger batch is suggested."""


def describe_compilation(plan: LayoutPlan, seconds: float) -> str:
    """A line about a layout, whose step took ``seconds`` to compile."""
    result = plan.problem if plan.step_seconds is None else f"about {1000 * plan.step_seconds:.1f} ms a step"
    return f"{plan.layout:<10}{result} (compiled in {seconds:.0f} s)"


def plan_for_json(plans: Sequence[LayoutPlan], topology: Topology, config: TrainConfig) -> list[dict[str, Any]]:
    """The estimates for a JSON file, each with what ``alexnet train --plan`` checks (``StoredPlan``)."""
    planned_for = {
        "topology": topology.name,
        "device_kind": devices_of(topology)[0].device_kind,
        "devices": topology.chips,
        "date": date.today().isoformat(),
        "compiler": f"libtpu {version('libtpu')}",
        "run": planned_run(config),
    }
    return [asdict(plan) | {"planned_for": planned_for} for plan in plans]


def describe_plans(plans: Sequence[LayoutPlan], topology: Topology, config: TrainConfig) -> str:
    """The chips, the run, the compiler and the fastest layout that fits, one per line."""
    fastest = fastest_layout(plans)
    lines = [
        ("chips", f"{topology.name}, {topology.chips} chip(s) of {topology.chip.memory / 2**30:.2f} GiB"),
        ("net", describe_net(config.model)),
        ("run", _describe_run(config)),
        ("compiler", f"libtpu {version('libtpu')}, {date.today().isoformat()}"),
        ("fastest", "no layout fits" if fastest is None else _describe_fastest(fastest)),
    ]
    images = config.micro_batch_size / topology.chips
    if images < _FEW_IMAGES:
        remedy = "a larger --batch_size or --preset imagenet_large_batch_32k uses them better"
        if config.micro_batches > 1:
            remedy = "--micro_batches 1 uses them better"
        lines.append(("note", f"{topology.chips} chips get {images:g} image(s) each at a time; {remedy}"))
    lines += [("note", f"{plan.layout}: {plan.problem}") for plan in plans if plan.problem is not None]
    lines.append(("note", "every figure is an estimate from the compiled program; nothing ran on a TPU"))
    return "\n".join(f"{name:<10}{text}" for name, text in lines)


def _describe_run(config: TrainConfig) -> str:
    parts = "" if config.micro_batches == 1 else f" in {config.micro_batches} parts"
    steps = "" if config.data.train_examples is None else f" x {config.steps_per_epoch:,} steps"
    return f"{config.epochs} epochs{steps} x {config.batch_size} images{parts}, {config.dtype}"


def _describe_fastest(plan: LayoutPlan) -> str:
    hours = "" if plan.hours is None else f", {plan.hours:.2f} hours, {plan.chip_hours:.2f} chip-hours"
    return f"{plan.layout}: {plan.images_per_second:,.0f} images/s on {plan.chips} chip(s){hours}"


def steps_table(plans: Sequence[LayoutPlan]) -> Table:
    """What a step needs on one chip, for each layout."""
    table = plain_table("a step", "chips", "fits", "GiB", "Gflop", "Mcycles", "compute\nms", "exchange\nms", "sum\nms")
    for plan in plans:
        table.add_row(
            plan.layout,
            str(plan.chips),
            "yes" if plan.fits else "no",
            _number(plan.bytes_per_chip, 2, 2**-30),
            _number(plan.gflops_per_chip),
            _number(plan.million_cycles, 1),
            _number(plan.compute_seconds, 2, 1e3),
            _number(plan.collective_seconds, 2, 1e3),
            _number(plan.step_seconds, 2, 1e3),
        )
    return table


def runs_table(plans: Sequence[LayoutPlan]) -> Table:
    """What the whole run takes, and what each host must deliver, for each layout."""
    table = plain_table("a run", "images/s", "hours", "chip-hours", "hosts", "images/s\na host", "MB/s\na host")
    for plan in plans:
        table.add_row(
            plan.layout,
            _number(plan.images_per_second),
            _number(plan.hours, 2),
            _number(plan.chip_hours, 2),
            _number(plan.hosts),
            _number(plan.images_per_second_per_host),
            _number(plan.megabytes_per_second_per_host),
        )
    return table


def collectives_table(plans: Sequence[LayoutPlan]) -> Table:
    """What the chips exchange in a step, for each layout."""
    table = plain_table("exchange", "kind", "among", "times", "MB")
    for plan in plans:
        for exchange in plan.collectives:
            table.add_row(plan.layout, *_cells(exchange))
    return table


def _cells(exchange: Exchange) -> tuple[str, ...]:
    return exchange.kind, str(exchange.group), str(exchange.count), _number(exchange.bytes, 2, 1e-6)


def _number(value: float | None, digits: int = 0, factor: float = 1.0) -> str:
    return "" if value is None else f"{value * factor:,.{digits}f}"
