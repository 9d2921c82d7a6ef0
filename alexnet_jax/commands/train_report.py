"""What ``alexnet train`` prints at the end of a run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console

from alexnet_jax.console.progress import say, say_verbatim
from alexnet_jax.hints import command
from alexnet_jax.training.runs.run_directory import RunDirectory

if TYPE_CHECKING:
    from alexnet_jax.training.loop import Result


def report_stop(workdir: RunDirectory, result: Result, is_swept: bool = False) -> None:
    """Prints the step at which a run was saved, and the command that resumes it unless a sweep does."""
    console = Console()
    if result.step == 0:
        say(console, "stopped before the first step: nothing was saved")
    elif is_swept:
        say(console, f"stopped and saved at step {result.step:,}")
    else:
        say(console, f"stopped and saved at step {result.step:,}; to resume:")
        say_verbatim(console, command("train", "--workdir", workdir.place))


def report_end(console: Console, workdir: RunDirectory, result: Result) -> None:
    """Prints the error on test images, and to ``console`` the files of the run and the next commands."""
    from alexnet_jax.training.runs.goodput import goodput
    from alexnet_jax.training.steps.metrics import shown_metrics

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
