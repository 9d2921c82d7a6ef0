"""One run: that of ``alexnet train``, or one of those of ``alexnet sweep``."""

from __future__ import annotations

import argparse
import contextlib
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from alexnet_jax.commands.parsing import parse
from alexnet_jax.commands.starting_run import StartingRun, starting_run
from alexnet_jax.commands.train_arguments import TrainArguments
from alexnet_jax.commands.train_report import report_end, report_stop
from alexnet_jax.config import TrainConfig
from alexnet_jax.config.checks import check
from alexnet_jax.config.devices import virtual_devices
from alexnet_jax.console.progress import say
from alexnet_jax.errors import UsageError
from alexnet_jax.hosts.address import Address
from alexnet_jax.presets import PRESETS
from alexnet_jax.runtime import tune_cpu, use_virtual_devices
from alexnet_jax.signals import exit_on_interrupt
from alexnet_jax.stores.store import shown, url_of
from alexnet_jax.training.runs.run_directory import RunDirectory

if TYPE_CHECKING:
    from alexnet_jax.hosts.team import Team


@exit_on_interrupt()
def train_run(arguments: list[str], options: argparse.Namespace, is_swept: bool = False) -> int:
    """Trains one run, and prints its result and the next commands.

    Args:
        arguments: the words of ``alexnet train``.
        options: the common options among them, as ``parse_common`` returns them.
        is_swept: whether the run is one of several, so that no next commands are printed.

    Returns:
        The exit status.
    """
    url = url_of(options.workdir or "")
    if url is None or options.help_all:
        return _run(arguments, options, is_swept=is_swept)
    from alexnet_jax.training.runs.run_mirror import mirrored_run_of

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
        report_stop(start.workdir, result, is_swept)
        return 128 + result.stopped_by
    report_end(Console(quiet=True) if is_swept else console, start.workdir, result)
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
