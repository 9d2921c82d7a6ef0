"""The tables of ``alexnet bench``, from made-up timings."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from alexnet_jax.bench.report import Report
from alexnet_jax.bench.tables import layers_table, machine_table, steps_table
from alexnet_jax.bench.timing import Task, Timing

MACHINE = {
    "processor": "A Processor With A Name Of Many Words And 64 Cores @ 2.45GHz",
    "cores": 64,
    "load": 12.34,
    "devices": ["cpu", "cpu"],
    "python": "3.13.9",
    "jax": "0.12.0",
    "jaxlib": "0.12.0",
    "date": "2026-11-24",
}
FORMS = {"alexnet_jax": "", "torch": "compiled, channels_last", "float32": "", "layer": "rnorm2", "matmul": "1024"}
REPORT = Report(
    machine=MACHINE,
    batch_size=128,
    dtype="bfloat16",
    devices=1,
    compile_seconds={"cold": 12.0, "cached": 1.0},
    peers={"torch": "2.15.0, 64 threads", "float32": "the same program"},
    timings={
        Task(program, form, work, 10**12): Timing((10.1234, 12.5, 13.9))
        for program, form in FORMS.items()
        for work in ("forward", "gradient", "train")
    },
)


def printed(monkeypatch, width: int) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    console = Console(file=io.StringIO())
    for table in (machine_table(REPORT, "paper"), steps_table(REPORT), layers_table(REPORT)):
        console.print(table)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80])
def test_tables_fit_the_terminal(monkeypatch, width):
    text = printed(monkeypatch, width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text


def test_tables_on_wide_terminals_have_ranges_and_rates(monkeypatch):
    rows = [line.split() for line in printed(monkeypatch, 80).splitlines()]
    assert ["alexnet_jax", "12500.0", "10123.4-13900.0", "10.2", "80.0", "81%"] in rows
    assert ["rnorm2", "forward", "12500.0", "10123.4-13900.0", "10.2", "80.0", "81%"] in rows


def test_tables_on_narrow_terminals_have_times_and_speed_ups(monkeypatch):
    rows = [line.split() for line in printed(monkeypatch, 60).splitlines()]
    assert ["alexnet_jax", "12500.0", "10.2", "81%"] in rows
    assert ["alexnet_jax", "in", "float32", "12500.0", "10.2", "81%", "1.00", "x"] in rows
