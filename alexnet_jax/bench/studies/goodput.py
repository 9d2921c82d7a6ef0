"""The goodput of runs that are killed: measured save, restore and step times, and a simulation on them.

    uv run python -m alexnet_jax.bench.studies.goodput measure --preset quickstart > quickstart.json
    uv run python -m alexnet_jax.bench.studies.goodput simulate quickstart.json --checkpoint_every 100 300 1000
    uv run python -m alexnet_jax.bench.studies.goodput simulate quickstart.json --accelerator_step 0.00967 --restart 30
    uv run python -m alexnet_jax.bench.studies.goodput check quickstart.json --kill_every 40

``measure`` starts runs with ``alexnet train`` in a temporary directory, kills and resumes them, and prints the times as
JSON. ``simulate`` prints a row for each ``--checkpoint_every``. ``check`` trains the quick run to its end, kills it
again and again, and prints its goodput beside that of the simulation.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image

_HOUR = 3600.0
_REPEATS = 3


@dataclass(frozen=True)
class Times:
    """What a run needs, in seconds.

    Attributes:
        step: a training step.
        save: what a checkpoint adds to the steps: the copy, and slower steps while it is written.
        copy: copying the state to the host, for which the steps wait.
        latency: from the end of the step until its checkpoint is complete on disk.
        restart: from the start of the process to its first step, with a restore and a filled compilation cache.
        restore: the part of it that reads the checkpoint and places it on the devices.
    """

    step: float
    save: float
    copy: float
    latency: float
    restart: float
    restore: float


def simulate(times: Times, checkpoint_every: int, kills: Iterator[float], hours: float, delay: float = 0.0) -> float:
    """The goodput of a run that is killed: the time in kept steps divided by the whole time.

    Args:
        times: those of the run.
        checkpoint_every: steps between checkpoints.
        kills: the seconds between kills.
        hours: the simulated time.
        delay: seconds between a kill and the start of the next process.
    """
    now, kill, saved = 0.0, next(kills), 0
    while now < hours * _HOUR:
        now += delay + times.restart
        saved, now = _until_kill(times, checkpoint_every, saved, now, kill)
        kill = now + next(kills)
    return saved * times.step / now


def _until_kill(times: Times, checkpoint_every: int, saved: int, now: float, kill: float) -> tuple[int, float]:
    """Trains from the step ``saved`` until ``kill``. Returns the step of the last complete checkpoint, and ``kill``."""
    step, completed_at = saved, now  # the checkpoint of ``step`` is complete at this time
    while True:
        saved = step if completed_at <= kill else saved
        ready = max(now + checkpoint_every * times.step, completed_at)  # one checkpoint is written at a time
        if ready > kill:
            return saved, max(now, kill)
        step += checkpoint_every
        completed_at = ready + times.latency
        now = ready + times.save


def exponential(seconds: float) -> Iterator[float]:
    """Times between kills that are independent of one another, with this mean."""
    generator = random.Random(0)
    return (generator.expovariate(1 / seconds) for _ in itertools.count())


def periodic(seconds: float) -> Iterator[float]:
    """The same time between all kills."""
    return itertools.repeat(seconds)


def measure(preset: str) -> Times:
    """Measures a run with real processes. ImageNet's presets get random photos of 1,000 classes."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        options = ["--preset", preset, "--workdir", str(place / "run"), "--log_every", "1", "--evaluate_every", "1000"]
        options += ["--epochs", "1000", "--steps_per_dispatch", "1"]
        if preset.startswith("imagenet"):
            _write_photos(place / "photos")
            options += ["--data.dataset", str(place / "photos"), "--model.classes", "1000"]
        _seconds_to_first_step(options, place / "run", stops=True)  # fills the cache, and leaves a checkpoint
        starts = [_seconds_to_first_step(options, place / "run") for _ in range(_REPEATS)]
        command = [sys.executable, "-m", "alexnet_jax.bench.studies.goodput", "steps", str(place / "run")]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return Times(restart=statistics.median(starts), **found)


def _write_photos(folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    for split, name in itertools.product(("train", "validation"), ("cat", "dog")):
        (folder / split / name).mkdir(parents=True)
        for index in range(300 if split == "train" else 1):
            Image.fromarray(pixels).save(folder / split / name / f"{index}.jpg")


def _seconds_to_first_step(options: list[str], root: Path, stops: bool = False) -> float:
    """Starts ``alexnet train``, and ends it after a step. ``stops`` lets it save a checkpoint."""
    from alexnet_jax.training.runs.metrics_file import seconds_in_steps
    from alexnet_jax.training.runs.run_directory import RunDirectory

    began = time.time()
    process = subprocess.Popen([sys.executable, "-m", "alexnet_jax", "train", *options], stdout=subprocess.DEVNULL)
    run = RunDirectory(root)
    while not (new := [row for row in run.read_metrics() if row["time"] > began]):
        if process.poll() is not None:
            raise SystemExit(f"alexnet train ended with status {process.returncode}")
        time.sleep(0.1)
    if stops:
        process.terminate()
    else:
        process.kill()
    process.wait()
    return float(new[0]["time"] - began - seconds_in_steps(new[0], run.read_config().batch_size))


def measure_steps(root: Path) -> dict[str, float]:
    """The times of steps, saves and restores, in this process. Checkpoints go to another directory."""
    from alexnet_jax import runtime

    runtime.tune_cpu()
    runtime.use_virtual_devices(2)
    import jax

    from alexnet_jax.data.dataset import open_dataset
    from alexnet_jax.training.dispatch import dispatches
    from alexnet_jax.training.layouts import choose_layout
    from alexnet_jax.training.runs.checkpoint import Checkpoints
    from alexnet_jax.training.runs.checkpoint_writer import CheckpointWriter
    from alexnet_jax.training.runs.run_directory import RunDirectory
    from alexnet_jax.training.start import run_keys
    from alexnet_jax.training.steps.state import abstract_train_state

    run = RunDirectory(root)
    config = run.read_config()
    layout, (_, key) = choose_layout(config), run_keys(config)
    restores, saves, copies, latencies, steps = [], [], [], [], []
    for _ in range(_REPEATS):
        began = time.monotonic()
        restored = Checkpoints(run.checkpoints, warn=print).restore(abstract_train_state(config))
        assert restored is not None
        state = jax.block_until_ready(layout.place(restored))
        restores.append(time.monotonic() - began)
    groups = dispatches(open_dataset(config.data, config.model.channels).train, config, int(state.step))

    def train(count: int) -> None:
        nonlocal state
        for _, batches in itertools.islice(groups, count):
            state, _ = layout.train_steps(state, batches, key)
        jax.block_until_ready(state)

    train(2)  # compiles, and warms up
    with CheckpointWriter(root / "measured") as writer:
        for _ in range(_REPEATS):
            train(1)
            began = time.monotonic()
            writer.save(layout.collect(state))
            copies.append(time.monotonic() - began)
            writer.wait()
            latencies.append(time.monotonic() - began)
        began = time.monotonic()
        train(1)
        count = max(2, round(2 * max(latencies) / (time.monotonic() - began)))
        for _ in range(_REPEATS):
            began = time.monotonic()
            train(count)
            alone = time.monotonic() - began
            writer.save(layout.collect(state))
            train(count)
            saves.append(time.monotonic() - began - 2 * alone)
            steps.append(alone / count)
            writer.wait()
    found = {"restore": restores, "save": saves, "copy": copies, "latency": latencies, "step": steps}
    return {name: max(0.0, statistics.median(values)) for name, values in found.items()}


def check(times: Times, kill_every: float) -> None:
    """Trains the quick run, killed every ``kill_every`` seconds, and prints its goodput beside the simulation's."""
    from alexnet_jax.training.runs.run_directory import RunDirectory

    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "run"
        options = ["--workdir", str(root), "--checkpoint_every", "50", "--log_every", "10"]
        options += ["--evaluate_every", "1000"]
        command, kills = [sys.executable, "-m", "alexnet_jax", "train", *options], 0
        while True:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            try:
                output, _ = process.communicate(timeout=kill_every)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                kills += 1
        rows, starts = RunDirectory(root).read_metrics(), RunDirectory(root).read_starts()
    print(next(line for line in output.splitlines() if line.startswith("goodput")))
    simulated = simulate(times, 50, periodic(kill_every), 100.0)
    took = (rows[-1]["time"] - starts[0].time) / 60
    print(f"killed {kills} times in {took:.1f} minutes; the simulation says {simulated:.1%}")


@dataclass(frozen=True)
class Measure:
    """Measure the times of a run."""

    preset: str = "quickstart"
    """The run."""


@dataclass(frozen=True)
class Steps:
    """Measure steps, saves and restores of a run directory, as a part of measure."""

    root: Annotated[Path, tyro.conf.Positional]
    """The run directory."""


@dataclass(frozen=True)
class Simulate:
    """Simulate kills."""

    times: Annotated[Path, tyro.conf.Positional]
    """A file that measure printed."""
    checkpoint_every: tuple[int, ...] = (1000,)
    """Steps between checkpoints."""
    kill_every: float = 600.0
    """Mean seconds between kills."""
    delay: float = 0.0
    """Seconds between a kill and the next process."""
    accelerator_step: float | None = None
    """Seconds of a step on an accelerator, in place of the measured ones. Writing a checkpoint does not slow it."""
    restart: float | None = None
    """Seconds of a restart, in place of the measured ones."""
    hours: float = 200.0
    """The simulated time."""


@dataclass(frozen=True)
class Check:
    """Kill a real run."""

    times: Annotated[Path, tyro.conf.Positional]
    """A file that measure printed."""
    kill_every: float = 40.0
    """Seconds between kills."""


def read_times(file: Path) -> Times:
    """The times that ``measure`` printed."""
    return Times(**json.loads(file.read_text()))


def table(arguments: Simulate) -> str:
    """A row of the goodput for each ``--checkpoint_every``."""
    times = read_times(arguments.times)
    if arguments.accelerator_step is not None:
        times = dataclasses.replace(times, step=arguments.accelerator_step, save=times.copy)
    if arguments.restart is not None:
        times = dataclasses.replace(times, restart=arguments.restart)
    lines = ["| checkpoint every | seconds | random kills | regular kills |", "| --- | --- | --- | --- |"]
    for steps in arguments.checkpoint_every:
        found = [
            simulate(times, steps, kills(arguments.kill_every), arguments.hours, arguments.delay)
            for kills in (exponential, periodic)
        ]
        seconds = f"{steps * times.step:,.1f}"
        lines.append(" | ".join([f"| {steps:,} steps", seconds, *(f"{each:.1%}" for each in found)]) + " |")
    return "\n".join(lines)


def main(arguments: Measure | Steps | Simulate | Check) -> None:
    """Runs the command."""
    match arguments:
        case Measure(preset):
            print(json.dumps(dataclasses.asdict(measure(preset))))
        case Steps(root):
            print(json.dumps(measure_steps(root)))
        case Simulate():
            print(table(arguments))
        case Check(times, kill_every):
            check(read_times(times), kill_every)


if __name__ == "__main__":
    main(tyro.cli(Measure | Steps | Simulate | Check))
