"""What a run of the benchmark found, for people."""

from __future__ import annotations

from rich.table import Table

from alexnet_jax.bench.net import WORKS
from alexnet_jax.bench.peers import PEERS
from alexnet_jax.bench.run import OURS, Report
from alexnet_jax.bench.timing import Task
from alexnet_jax.console.tables import plain_table

_NUMBERS = ("ms", "range", "images/s", "GFLOP/s", "of peak")
_TITLES = {"forward": "forward", "gradient": "forward + backward", "train": "training step"}


def describe(report: Report, net: str) -> str:
    """What was timed, where, and what it took to compile."""
    machine, compiled = report.machine, report.compile_seconds
    kinds = ", ".join(f"{machine['devices'].count(kind)} x {kind}" for kind in dict.fromkeys(machine["devices"]))
    lines = {
        "net": f"{net}, batch {report.batch_size}, {report.dtype}, {report.devices} device(s)",
        "machine": f"{machine['processor']}, {machine['cores']} core(s), load {machine['load']}, {machine['date']}",
        "JAX": f"{machine['jax']}, jaxlib {machine['jaxlib']}, Python {machine['python']}, devices {kinds}",
        **{PEERS[name]: about for name, about in report.peers.items()},
        "peak": f"{report.peak / 1e9:.1f} GFLOP/s, the best of several matrix products in this run",
        "compile": f"{compiled['cold']:.1f} s the training step, {compiled['cached']:.1f} s from the cache",
    }
    return "\n".join(f"{name:<11} {text}" for name, text in lines.items())


def steps_table(report: Report) -> Table:
    """Forward, forward and backward, training step: ours, and the best form of each peer."""
    table = plain_table("", "by", *_NUMBERS, "ours is")
    table.columns[1].justify = "left"
    for work in WORKS:
        title = _TITLES[work]
        for by in (OURS, *report.peers):
            task = report.best(by, work)
            if task is None:
                continue
            name = by if by == OURS else f"{PEERS[by]} ({task.form})".removesuffix(" ()")
            ratio = "" if by == OURS else f"{report.ratio(task):.2f} x as fast"
            table.add_row(title, name, *_cells(report, task), ratio)
            title = ""
    return table


def layers_table(report: Report) -> Table:
    """Each layer alone, forward and with its backward pass."""
    table = plain_table("layer", "pass", *_NUMBERS)
    table.columns[1].justify = "left"
    for task in report.timings:
        if task.by == "layer":
            first = task.work == "forward"
            table.add_row(task.form if first else "", _TITLES[task.work], *_cells(report, task))
    return table


def _cells(report: Report, task: Task) -> tuple[str, ...]:
    numbers = report.numbers(task)
    rate = (f"{numbers['gflops_per_second']:.1f}", f"{numbers['fraction_of_peak']:.0%}") if task.flops else ("", "")
    times = f"{numbers['milliseconds']:.1f}", f"{numbers['low']:.1f} - {numbers['high']:.1f}"
    return (*times, f"{numbers['images_per_second']:.1f}", *rate)
