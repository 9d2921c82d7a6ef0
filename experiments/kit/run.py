"""Runs an experiment: trains its nets, measures, and writes the record and the plot."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro
from rich.console import Console

from alexnet_jax.console.progress import say
from alexnet_jax.errors import AlexNetError, UsageError, first_line
from experiments.kit.experiment import Experiment
from experiments.kit.nets import StoppedBySignalError, train_nets
from experiments.kit.plot import draw_record
from experiments.kit.record import RECORDS, make_record, write_record
from experiments.kit.settings import Scale


@dataclass(frozen=True)
class Options:
    """How to run an experiment."""

    scale: Scale = "cpu"
    """cpu: a smaller version on two cores. full: the published setting, for accelerators."""
    seeds: int | None = None
    """The number of seeds, at least 2. Default: that of the experiment."""
    data_dir: Path | None = None
    """The directory of TFDS data sets. Default: TFDS's own."""
    workdir: Path = Path("runs/experiments")
    """The directory of the run directories. Nets that are finished there are not trained again."""
    records: Path = RECORDS
    """The directory of the records and plots."""


def main(experiment: Experiment) -> None:
    """The command of one experiment: ``python -m experiments.NAME``."""
    description = f"{experiment.claim} ({experiment.source}). {experiment.scale_note}"
    options = tyro.cli(
        Options, prog=f"python -m experiments.{experiment.name}", description=description, use_underscores=True
    )
    sys.exit(exit_status(lambda: run_all([experiment], options)))


def exit_status(work: Callable[[], None]) -> int:
    """Runs ``work`` and returns the exit status. An error prints one line."""
    try:
        work()
    except AlexNetError as error:
        print(f"experiments: error: {first_line(error)}", file=sys.stderr)
        return error.exit_status
    except StoppedBySignalError as error:
        print("stopped and saved; run the same command to resume", file=sys.stderr)
        return 128 + error.signal
    return 0


def run_all(experiments: list[Experiment], options: Options) -> None:
    """Runs ``experiments`` one after another. Each one writes its record when it is finished."""
    from alexnet_jax import runtime

    runtime.use_compile_cache()
    runtime.tune_cpu()
    for experiment in experiments:
        run_experiment(experiment, options)


def run_experiment(experiment: Experiment, options: Options) -> None:
    """Trains the nets of ``experiment``, and writes its record and its plot."""
    tell = partial(say, Console())
    if options.seeds is not None and options.seeds < 2:
        raise UsageError(f"--seeds is {options.seeds}: use 2 or more, because a verdict needs a spread")
    tell(f"{experiment.name}: {experiment.claim}")
    seeds = options.seeds or experiment.seeds
    trained = train_nets(experiment.arms(options.scale), seeds, options.workdir, options.data_dir, tell)
    record = make_record(experiment, options.scale, _command(experiment, options), trained)
    file = write_record(record, options.records)
    draw_record(record, experiment, file.with_suffix(".png"))
    tell(f"{record.verdict}: {experiment.rule}: {record.effect}")
    tell(f"saved {file}, {file.with_suffix('.png')}")


def _command(experiment: Experiment, options: Options) -> str:
    """The command that makes the record."""
    seeds = [] if options.seeds is None else ["--seeds", str(options.seeds)]
    return shlex.join(["uv", "run", "python", "-m", f"experiments.{experiment.name}", "--scale", options.scale, *seeds])
