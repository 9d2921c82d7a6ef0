"""The speed of nets with settings of glibc's ``malloc`` and JAX's dispatch, and the pages that the kernel clears.

    uv run python -m alexnet_jax.bench.studies.freed_memory --out alexnet_jax/bench/studies/freed_memory.md

Each measurement has a process of its own, because the settings hold for a process. The settings alternate.
"""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import tyro

from alexnet_jax import runtime
from alexnet_jax.bench.machine import describe_machine
from alexnet_jax.bench.net import OwnNet, bench_config
from alexnet_jax.variants import variant

_M_ARENA_MAX = -8  # from glibc's malloc.h
_SECONDS = 3.0
"""The shortest measurement."""


@dataclass(frozen=True)
class Arguments:
    """Time nets with different settings of glibc's malloc."""

    out: Path
    """The Markdown file to write."""
    rounds: int = 3
    """Processes for each setting and task."""


@dataclass(frozen=True)
class Task:
    """What is timed: one of ``net.WORKS`` of a variant."""

    variant: str
    batch_size: int
    work: str
    devices: int = 1

    def __str__(self) -> str:
        devices = f", {self.devices} devices" if self.devices > 1 else ""
        return f"`{self.variant}`, batch {self.batch_size}, {self.work}{devices}"


TASKS = (
    Task("small", 32, "train", devices=2),
    Task("small", 32, "train"),
    Task("torchvision", 1, "forward"),
    Task("single_tower", 16, "forward"),
    Task("torchvision", 64, "forward"),
    Task("paper", 32, "train"),
)


def one_arena() -> None:
    """All threads share the main thread's arena, which keeps freed memory."""
    runtime.keep_freed_memory()
    ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


SETTINGS: dict[str, Callable[[], None]] = {
    "defaults": lambda: None,
    "one arena": one_arena,
    "kept": runtime.keep_freed_memory,
    "tune_cpu": runtime.tune_cpu,
}
DESCRIPTIONS = {
    "defaults": "glibc's and JAX's defaults",
    "one arena": "freed memory is kept, in one arena for all threads",
    "kept": "it is kept in an arena for each thread, but not allocations of more than 64 MB in other threads",
    "tune_cpu": "the same, and programs of one device run in the thread that calls them",
}


def measure(setting: str, task: Task) -> tuple[float, float]:
    """The median of the seconds of a run, and the pages that the kernel clears in it."""
    os.environ["XLA_FLAGS"] = runtime.xla_flag()
    SETTINGS[setting]()
    runtime.use_virtual_devices(task.devices)
    run = OwnNet(bench_config(variant(task.variant), task.batch_size), task.devices).contenders()[task.work]
    for _ in range(3):
        run()
    faults, seconds = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, [run()]
    while sum(seconds) < _SECONDS:
        seconds.append(run())
    pages = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults) / len(seconds)
    return statistics.median(seconds), pages


def main(arguments: Arguments) -> None:
    """Writes the tables."""
    machine = describe_machine()
    milliseconds, pages = defaultdict(list), defaultdict(list)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as processes:
        for _, task, setting in product(range(arguments.rounds), TASKS, SETTINGS):
            seconds, cleared = processes.submit(measure, setting, task).result()
            print(f"{task}, {setting}: {seconds * 1e3:.1f} ms, {cleared:,.0f} pages", flush=True)
            milliseconds[task, setting].append(seconds * 1e3)
            pages[task, setting].append(cleared)
    measured = f"*Measured here*: {machine['processor']}, {machine['cores']} cores, jax {machine['jax']}, "
    arguments.out.write_text(
        "# Freed memory on a CPU\n\n"
        "How long a run takes with settings of glibc's `malloc` and of JAX's dispatch. `freed_memory.py` measures it.\n"
        "`runtime.tune_cpu` has the last setting.\n\n"
        "| setting | what it does |\n| --- | --- |\n"
        + "".join(f"| {setting} | {text} |\n" for setting, text in DESCRIPTIONS.items())
        + f"\n{measured}{machine['date']}.\nEach of {arguments.rounds} rounds has a process for each setting. "
        f"Milliseconds, median (range):\n\n{_table(milliseconds, '{:.1f}')}"
        f"\nPages of 4 KiB that the kernel clears in a run:\n\n{_table(pages, '{:,.0f}')}"
    )


def _table(found: dict[tuple[Task, str], list[float]], form: str) -> str:
    lines = [f"| task | {' | '.join(SETTINGS)} |", "| --- |" + " --- |" * len(SETTINGS)]
    for task in TASKS:
        cells = [_median_and_range(found[task, setting], form) for setting in SETTINGS]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _median_and_range(values: list[float], form: str) -> str:
    return f"{form.format(statistics.median(values))} ({form.format(min(values))} to {form.format(max(values))})"


if __name__ == "__main__":
    main(tyro.cli(Arguments))
