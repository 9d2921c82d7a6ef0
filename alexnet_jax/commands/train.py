"""``alexnet train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro
from rich.console import Console

from alexnet_jax.commands.parsing import parse
from alexnet_jax.commands.starting_run import starting_run
from alexnet_jax.commands.train_help import parse_common, short_help
from alexnet_jax.config import TrainConfig
from alexnet_jax.console.progress import say, say_verbatim
from alexnet_jax.hints import command
from alexnet_jax.presets import PRESETS
from alexnet_jax.signals import exit_on_interrupt
from alexnet_jax.training.loggers import LoggerName
from alexnet_jax.training.run_directory import RunDirectory

if TYPE_CHECKING:
    from alexnet_jax.training.loop import Result


@dataclass(frozen=True)
class TrainArguments:
    """Train a net, or resume the run in a run directory."""

    recipe: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str | None = None
    """The run to start from. Other options change it. Default: quickstart, or photos for a folder of photos."""
    variant: str | None = None
    """Another net for the run."""
    config: Path | None = None
    """A JSON file with the fields to change, or the config.json of a run."""
    workdir: Path | None = None
    """The run directory. An existing run resumes. Default: runs/NAME, the name of the preset, config or variant."""
    overwrite: bool = False
    """Delete the run in the run directory and start afresh."""
    devices: int | None = None
    """The number of devices, 1 or 2. Default: one per tower, if available."""
    profile: Path | None = None
    """A directory for a profiler trace of a few steps, for Perfetto or XProf."""
    log: LoggerName | None = None
    """Also log the metrics with TensorBoard (in the run directory), Weights & Biases or Trackio."""
    quiet: bool = False
    """Print only errors and the final line."""


@exit_on_interrupt()
def main(arguments: list[str]) -> int:
    """Trains, and prints the result and the next commands."""
    options = parse_common(arguments)
    if options.help:
        print(short_help(), end="")
        return 0
    start = starting_run(options)
    if options.help_all:
        arguments = ["--help"]
    parsed = parse(TrainArguments, arguments, "train", default=TrainArguments(start.config))
    from alexnet_jax.runtime import use_virtual_devices

    use_virtual_devices()
    from alexnet_jax.training import loop
    from alexnet_jax.weights.fine_tuning import start_from_file

    console = Console(quiet=parsed.quiet)
    resumes = start.workdir.has_checkpoint and not parsed.overwrite
    for note in [*start.notes, *_schedule_notes(start.config, parsed.recipe, resumes)]:
        say(console, f"note      {note}")
    start_from_weights = start_from_file if parsed.recipe.init is not None else None
    result = loop.train(
        parsed.recipe,
        start.workdir,
        console,
        parsed.devices,
        start.keeps_classes,
        parsed.profile,
        start_from_weights,
        parsed.overwrite,
        parsed.log,
    )
    if result.stopped_by is not None:
        _report_stop(start.workdir, result)
        return 128 + result.stopped_by
    _report_end(console, start.workdir, result)
    return 0


def _schedule_notes(before: TrainConfig, config: TrainConfig, resumes: bool) -> list[str]:
    """A note if the number of epochs changed and the epochs at which the learning rate drops did not.

    Also if a resumed run has more epochs and its rate falls to the end of the run.
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


def _report_stop(workdir: RunDirectory, result: Result) -> None:
    console = Console()
    if result.step == 0:
        say(console, "stopped before the first step: nothing was saved")
    else:
        say(console, f"stopped and saved at step {result.step:,}; to resume:")
        say_verbatim(console, command("train", "--workdir", workdir.root))


def _report_end(console: Console, workdir: RunDirectory, result: Result) -> None:
    from alexnet_jax.training.metrics import shown_metrics

    last = next((row for row in reversed(workdir.read_metrics()) if row["split"] == "test"), None)
    if last is not None:
        shown = shown_metrics(last, workdir.read_config().model.classes)
        top5 = f", top-5 error {last['top5_error']:.2%}" if "top5_error" in shown else ""
        say(Console(), f"finished  {result.step:,} steps, on test images top-1 error {last['top1_error']:.2%}{top5}")
    say(console, f"saved     {_saved(workdir, result.step)}")
    say(console, f"pictures  {workdir.curves}, {workdir.filters}")
    say(console, f"parameters SHA-256 {result.params_sha256}")
    say(console, "next      to classify images, and to train for more epochs:")
    say_verbatim(console, command("predict", workdir.root, "IMAGE"))
    say_verbatim(console, command("train", "--workdir", workdir.root, "--epochs", 2 * workdir.read_config().epochs))


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
