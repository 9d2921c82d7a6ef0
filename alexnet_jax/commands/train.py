"""``alexnet train``."""

from __future__ import annotations

import argparse
import contextlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console

from alexnet_jax.commands.parsing import parse
from alexnet_jax.commands.starting_run import StartingRun, starting_run
from alexnet_jax.commands.train_help import parse_common, short_help
from alexnet_jax.config import TrainConfig
from alexnet_jax.config.checks import check
from alexnet_jax.config.devices import LayoutName, virtual_devices
from alexnet_jax.console.progress import say, say_verbatim
from alexnet_jax.errors import UsageError
from alexnet_jax.hints import command
from alexnet_jax.hosts.address import Address
from alexnet_jax.presets import PRESETS
from alexnet_jax.runtime import tune_cpu, use_virtual_devices
from alexnet_jax.signals import exit_on_interrupt
from alexnet_jax.stores.store import shown, url_of
from alexnet_jax.training.loggers import LoggerName
from alexnet_jax.training.run_directory import RunDirectory

if TYPE_CHECKING:
    from alexnet_jax.hosts.team import Team
    from alexnet_jax.training.loop import Result


@dataclass(frozen=True)
class TrainArguments:
    """Train a net, or resume the run in a run directory."""

    recipe: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str | None = None
    """The run to start from. Other options change it. Default: quickstart, photos for a folder of photos, or finetune
    for --init with convolutions alone."""
    variant: str | None = None
    """Another net for the run."""
    config: Path | None = None
    """A JSON file with the fields to change, or the config.json of a run."""
    workdir: Path | None = None
    """The run directory. An existing run resumes. Default: runs/NAME, the name of the preset, config or variant."""
    overwrite: bool = False
    """Delete the run in the run directory and start afresh."""
    layout: LayoutName = "auto"
    """How the run is divided over the devices. single: one device. towers: half of every layer on each of two devices
    (paper, section 3.5). data: a whole net and part of the images on each. mesh: several pairs of towers. hybrid: as
    data, with the dense layers split over all devices (arXiv 1404.5997). auto: the fastest in --plan. Without a plan:
    single on one device, towers on two if the net has two, else data, or hybrid if the net does not fit."""
    plan: Path | None = None
    """A file that `alexnet plan --json` wrote for this run and these devices."""
    devices: int | None = None
    """The number of devices. Default: one per tower on a CPU, or two under a named layout of several devices; otherwise
    all, or as many as the layout can use."""
    data_parallel: int | None = None
    """The number of parts that each batch is divided into. Default: as many as the devices allow."""
    distributed: bool = False
    """Train with several processes, which SLURM, Open MPI, Kubernetes or a TPU slice has started."""
    coordinator: str | None = None
    """HOST:PORT at which process 0 of several waits for the others, if it is not detected."""
    processes: int | None = None
    """The number of processes, if it is not detected."""
    process_id: int | None = None
    """The number of this process, from 0, if it is not detected."""
    cluster: Literal["auto", "none"] = "auto"
    """Whether to detect what these options leave out. none: detect nothing; all three are required."""
    step_timeout: float | None = None
    """The most seconds that a part of a step, such as reading images, may take before all processes end. It applies
    once that part has been measured three times. Default: ten times the longest time so far, and at least 30."""
    profile: Path | None = None
    """A directory for a profiler trace of a few steps, for Perfetto or XProf."""
    seeds: int | None = None
    """Train this many nets, one after another, with seeds from --seed on (`alexnet sweep --help`)."""
    log: LoggerName | None = None
    """Also log the metrics with TensorBoard (in the run directory), Weights & Biases or Trackio."""
    quiet: bool = False
    """Print only errors and the final line."""


def main(arguments: list[str]) -> int:
    """Trains, and prints the result and the next commands."""
    options = parse_common(arguments)
    if options.help:
        print(short_help(), end="")
        return 0
    if options.seeds is not None and not options.help_all:
        from alexnet_jax.commands.sweep import sweep

        return sweep(arguments, options)
    return train_run(arguments)


@exit_on_interrupt()
def train_run(arguments: list[str], is_swept: bool = False) -> int:
    """Trains one run.

    Args:
        arguments: the words of ``alexnet train``.
        is_swept: whether the run is one of several, so that no next commands are printed.

    Returns:
        The exit status.
    """
    options = parse_common(arguments)
    url = url_of(options.workdir or "")
    if url is None or options.help_all:
        return _run(arguments, options, is_swept=is_swept)
    from alexnet_jax.training.run_mirror import mirrored_run_of

    with _team(options) as team, mirrored_run_of(team, url, partial(say, Console(quiet=options.quiet))) as workdir:
        return _run(arguments, options, workdir, team)


def _run(
    arguments: list[str],
    options: argparse.Namespace,
    workdir: RunDirectory | None = None,
    team: Team | None = None,
    is_swept: bool = False,
) -> int:
    start = starting_run(options, workdir)
    if options.help_all:
        arguments = ["--help"]
    parsed = parse(TrainArguments, arguments, "train", default=TrainArguments(start.config))
    if parsed.profile is not None:
        check(url_of(parsed.profile) is None, "--profile", shown(parsed.profile), "use a directory of this machine")
    with _team(parsed) if team is None else contextlib.nullcontext(team) as team:
        return _train(parsed, start, team, is_swept)


def _team(parsed: TrainArguments | argparse.Namespace) -> contextlib.AbstractContextManager[Team]:
    address = Address(parsed.coordinator, parsed.processes, parsed.process_id, parsed.cluster)
    if parsed.distributed or address != Address():
        from alexnet_jax.hosts.cluster import Cluster

        return Cluster(address, parsed.step_timeout)
    from alexnet_jax.hosts.team import Team

    if parsed.step_timeout is not None:
        raise UsageError("--step_timeout is for several processes: use it with --distributed or --coordinator")
    return contextlib.nullcontext(Team())


def _train(parsed: TrainArguments, start: StartingRun, team: Team, is_swept: bool) -> int:
    towers = parsed.recipe.model.towers
    tune_cpu()
    use_virtual_devices(virtual_devices(parsed.layout, parsed.devices, parsed.data_parallel, team.count, towers))
    from alexnet_jax.training import loop
    from alexnet_jax.training.layouts.stored_plan import read_plan
    from alexnet_jax.weights.fine_tuning import start_from_file

    console = Console(quiet=parsed.quiet or not team.is_main)
    resumes = start.workdir.has_checkpoint and not parsed.overwrite
    for note in [*start.notes, *_schedule_notes(start.config, parsed.recipe, resumes)]:
        say(console, f"note      {note}")
    start_from_weights = start_from_file if parsed.recipe.init is not None else None
    result = loop.train(
        parsed.recipe,
        start.workdir,
        console,
        devices=parsed.devices,
        layout=parsed.layout,
        data_parallel=parsed.data_parallel,
        keep_classes=start.keeps_classes,
        profile=parsed.profile,
        start_from_weights=start_from_weights,
        overwrite=parsed.overwrite,
        logger=parsed.log,
        plan=None if parsed.plan is None else read_plan(parsed.plan),
        team=team,
    )
    if not team.is_main:
        return 0 if result.stopped_by is None else 128 + result.stopped_by
    if result.stopped_by is not None:
        _report_stop(start.workdir, result, is_swept)
        return 128 + result.stopped_by
    _report_end(Console(quiet=True) if is_swept else console, start.workdir, result)
    return 0


def _schedule_notes(before: TrainConfig, config: TrainConfig, resumes: bool) -> list[str]:
    """A note if the number of epochs changed and the epochs at which the learning rate drops did not.

    There is also a note if a resumed run has more epochs and a schedule that lasts to the end of the run.
    """
    schedule, drops = config.schedule, config.schedule.epochs
    if config.epochs == before.epochs or drops != before.schedule.epochs:
        return []
    if resumes and schedule.rule in ("cosine", "polynomial") and schedule.decay_epochs is None:
        return [
            f"--epochs {config.epochs} stretches the {schedule.rule} schedule: the learning rate continues as in a run "
            f"of {config.epochs} epochs"
        ]
    if schedule.rule != "steps":
        return []
    planned = _planned_epochs(before)
    scaled = " ".join(f"{round(epoch * config.epochs / planned, 1):g}" for epoch in drops)
    return [
        f"--epochs {config.epochs} does not move the drops of the learning rate, which are at epochs "
        f"{' '.join(f'{epoch:g}' for epoch in drops)} of {planned}; to scale them, use --schedule.epochs {scaled}"
        + (" and another --workdir" if resumes else "")
    ]


def _planned_epochs(config: TrainConfig) -> int:
    """The epochs of the preset with this schedule, because ``config`` may be that of an extended run."""
    presets = [make() for make in PRESETS.values()]
    return next((run.epochs for run in presets if run.schedule == config.schedule), config.epochs)


def _report_stop(workdir: RunDirectory, result: Result, is_swept: bool = False) -> None:
    console = Console()
    if result.step == 0:
        say(console, "stopped before the first step: nothing was saved")
    elif is_swept:
        say(console, f"stopped and saved at step {result.step:,}")
    else:
        say(console, f"stopped and saved at step {result.step:,}; to resume:")
        say_verbatim(console, command("train", "--workdir", workdir.place))


def _report_end(console: Console, workdir: RunDirectory, result: Result) -> None:
    from alexnet_jax.training.goodput import goodput
    from alexnet_jax.training.metrics import shown_metrics

    last = next((row for row in reversed(workdir.read_metrics()) if row["split"] == "test"), None)
    if last is not None:
        shown = shown_metrics(last, workdir.read_config().model.classes)
        top5 = f", top-5 error {last['top5_error']:.2%}" if "top5_error" in shown else ""
        say(Console(), f"finished  {result.step:,} steps, on test images top-1 error {last['top1_error']:.2%}{top5}")
    say(console, f"saved     {_saved(workdir, result.step)}")
    found = goodput(workdir.read_starts(), workdir.read_metrics(), workdir.read_config().batch_size, time.time())
    if found is not None:
        say(console, f"goodput   {found}")
    say(console, f"pictures  {workdir.place}/{workdir.curves.name}, {workdir.place}/{workdir.filters.name}")
    say(console, f"parameters SHA-256 {result.params_sha256}")
    say(console, "next      to classify images, and to train for more epochs:")
    say_verbatim(console, command("predict", workdir.place, "IMAGE"))
    say_verbatim(console, command("train", "--workdir", workdir.place, "--epochs", 2 * workdir.read_config().epochs))


def _saved(workdir: RunDirectory, latest: int) -> str:
    """The checkpoints that other commands read, and why there is no best one."""
    data = workdir.read_config().data
    best = workdir.best_step(data)
    if best is not None:
        return f"step {latest:,}, the latest, and step {best:,}, the best on validation images (--checkpoint best)"
    if data.validation_split == data.test_split:
        return f"step {latest:,}, the latest; the validation images are the test images, so none is called the best"
    if data.fold_in_epoch is not None:
        return f"step {latest:,}, the latest; the run trained on the validation images, so none is called the best"
    return f"step {latest:,}, the latest; a best one needs --data.validation_fraction"
