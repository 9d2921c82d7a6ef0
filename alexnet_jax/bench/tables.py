"""The benchmark's report as text and tables."""

from __future__ import annotations

from rich.table import Table

from alexnet_jax.bench.net import WORKS
from alexnet_jax.bench.peers import PEERS
from alexnet_jax.bench.report import OURS, Report
from alexnet_jax.bench.timing import Task
from alexnet_jax.console.tables import plain_table

_NUMBERS = ("ms", "range", "images/s", "GFLOP/s", "of peak")
_TITLES = {"forward": "forward", "gradient": "forward + backward", "train": "training step"}


def describe(report: Report, net: str) -> str:
    """The net, the machine, the versions, the peak and the compile times, a line each."""
    machine, compiled = report.machine, report.compile_seconds
    kinds = ", ".join(f"{machine['devices'].count(kind)} x {kind}" for kind in dict.fromkeys(machine["devices"]))
    lines = {
        "net": f"{net}, batch {report.batch_size}, {report.dtype}, {report.devices} device(s)",
        "machine": f"{machine['processor']}, {machine['cores']} core(s), load {machine['load']}, {machine['date']}",
        "JAX": f"{machine['jax']}, jaxlib {machine['jaxlib']}, Python {machine['python']}, devices {kinds}",
        **{PEERS[name]: about for name, about in report.peers.items()},
        "peak": f"{report.peak / 1e9:.1f} GFLOP/s, the fastest of several matrix products in this run",
        "compile": f"{compiled['cold']:.1f} s for the training step, {compiled['cached']:.1f} s from the cache",
    }
    return "\n".join(f"{name:<11} {text}" for name, text in lines.items())


def steps_table(report: Report) -> Table:
    """Forward, forward and backward, training step: this project, and the fastest form of each peer."""
    table = plain_table("", "program", *_NUMBERS, "ours is")
    table.columns[1].justify = "left"
    for work in WORKS:
        title = _TITLES[work]
        for program in (OURS, *report.peers):
            task = report.fastest(program, work)
            if task is None:
                continue
            ratio = "" if program == OURS else f"{report.ratio(task):.2f} x as fast"
            name = PEERS.get(program, OURS)
            if task.form:
                name += f" ({task.form})"
            table.add_row(title, name, *_cells(report, task), ratio)
            title = ""
    return table


def layers_table(report: Report) -> Table:
    """Each layer alone: forward, and forward and backward."""
    table = plain_table("layer", "pass", *_NUMBERS)
    table.columns[1].justify = "left"
    for task in report.timings:
        if task.program == "layer":
            name = task.form if task.work == "forward" else ""
            table.add_row(name, _TITLES[task.work], *_cells(report, task))
    return table


def _cells(report: Report, task: Task) -> tuple[str, ...]:
    numbers = report.numbers(task)
    rate = (f"{numbers['gflops_per_second']:.1f}", f"{numbers['fraction_of_peak']:.0%}") if task.flops else ("", "")
    times = f"{numbers['milliseconds']:.1f}", f"{numbers['low']:.1f} - {numbers['high']:.1f}"
    return (*times, f"{numbers['images_per_second']:.1f}", *rate)
