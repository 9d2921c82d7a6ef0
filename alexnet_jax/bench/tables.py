"""The benchmark's report as tables, which fit the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from alexnet_jax.bench.net import WORKS
from alexnet_jax.bench.peers import PEERS
from alexnet_jax.bench.report import OURS, Report
from alexnet_jax.bench.timing import Task
from alexnet_jax.console.tables import fields_table, plain_table

_TITLES = {"forward": "forward", "gradient": "forward + backward", "train": "training step"}


def machine_table(report: Report, net: str) -> Table:
    """The net, the machine, the versions, the peak and the compile times."""
    machine, compiled = report.machine, report.compile_seconds
    kinds = ", ".join(f"{machine['devices'].count(kind)} x {kind}" for kind in dict.fromkeys(machine["devices"]))
    return fields_table(
        {
            "net": f"{net}, batch {report.batch_size}, {report.dtype}, {report.devices} device(s)",
            "machine": f"{machine['processor']}, {machine['cores']} core(s), load {machine['load']}, {machine['date']}",
            "JAX": f"{machine['jax']}, jaxlib {machine['jaxlib']}, Python {machine['python']}, devices {kinds}",
            **{PEERS[name]: about for name, about in report.peers.items()},
            "peak": f"{report.peak / 1e9:.1f} GFLOP/s, the fastest of several matrix products in this run",
            "compile": f"{compiled['cold']:.1f} s for the training step, {compiled['cached']:.1f} s from the cache",
        }
    )


def steps_table(report: Report) -> Table:
    """Forward, forward and backward, training step: this project, and the fastest form of each peer."""
    columns = _columns()
    table = plain_table("", *columns, "speed-up")
    table.columns[0].no_wrap = False
    for work in WORKS:
        tasks = list(_fastest_tasks(report, work))
        if tasks:
            table.add_row(f"[bold]{_TITLES[work]}")
        for program, task in tasks:
            form = f" ({task.form})" if task.form else ""
            speed_up = "" if program == OURS else f"{report.ratio(task):.2f} x"
            table.add_row(PEERS.get(program, OURS) + form, *_cells(report, task, columns), speed_up)
    return table


def _fastest_tasks(report: Report, work: str) -> Iterator[tuple[str, Task]]:
    for program in (OURS, *report.peers):
        task = report.fastest(program, work)
        if task is not None:
            yield program, task


def layers_table(report: Report) -> Table:
    """Each layer separately: forward, and forward and backward."""
    columns = _columns()
    table = plain_table("layer", "pass", *columns)
    table.columns[1].justify = "left"
    for task in report.timings:
        if task.program == "layer":
            name = task.form if task.work == "forward" else ""
            table.add_row(name, _TITLES[task.work], *_cells(report, task, columns))
    return table


def _columns() -> tuple[str, ...]:
    if Console().width < 80:
        return "ms", "images/s", "of peak"
    return "ms", "range", "images/s", "GFLOP/s", "of peak"


def _cells(report: Report, task: Task, columns: tuple[str, ...]) -> Iterator[str]:
    numbers = report.numbers(task)
    cells = {
        "ms": f"{numbers['milliseconds']:.1f}",
        "range": f"{numbers['low']:.1f}-{numbers['high']:.1f}",
        "images/s": f"{numbers['images_per_second']:.1f}",
        "GFLOP/s": f"{numbers['gflops_per_second']:.1f}" if task.flops else "",
        "of peak": f"{numbers['fraction_of_peak']:.0%}" if task.flops else "",
    }
    return (cells[column] for column in columns)
