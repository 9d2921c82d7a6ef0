"""``alexnet train``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from alexnet_jax.commands.parsing import parse
from alexnet_jax.config import TrainConfig
from alexnet_jax.console.progress import say
from alexnet_jax.errors import UsageError
from alexnet_jax.presets import preset, stored_size
from alexnet_jax.signals import exit_on_interrupt
from alexnet_jax.training.run_directory import RunDirectory
from alexnet_jax.variants import variant


@dataclass(frozen=True)
class TrainArguments:
    """Train a net, or go on where a run stopped."""

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    preset: str = "quickstart"
    """The run to begin with; the fields below change it. A folder that holds a run already begins with that run's."""
    variant: str | None = None
    """Another net for that run."""
    workdir: Path | None = None
    """Where the run's files are. Default: runs/PRESET."""
    devices: int | None = None
    """How many devices to use, 1 or 2. Default: as many as there are and the net has towers."""
    profile: Path | None = None
    """A folder for a trace of a few steps, to open in Perfetto or XProf."""


@exit_on_interrupt()
def main(arguments: list[str]) -> int:
    """Trains, and prints how it ended and how to go on."""
    begin = _begin_with(arguments)
    parsed = parse(TrainArguments, arguments, "train", default=begin)
    from alexnet_jax.runtime import use_virtual_devices

    use_virtual_devices()
    from alexnet_jax.training import loop
    from alexnet_jax.training.metrics import shown_metrics

    workdir = _workdir(parsed)
    console = Console()
    keep_classes = parsed.config.model.classes != begin.config.model.classes or workdir.has_begun
    result = loop.train(parsed.config, workdir, console, parsed.devices, keep_classes, parsed.profile)
    if result.stopped_by is not None:
        if result.steps_taken == 0:
            say(console, "stopped before the first step: nothing was saved")
            return 128 + result.stopped_by
        say(console, f"stopped and saved at step {result.step:,}; go on with `alexnet train --workdir {workdir.root}`")
        return 128 + result.stopped_by
    last = next((row for row in reversed(workdir.read_metrics()) if row["split"] == "test"), None)
    if last is not None:
        shown = shown_metrics(last, workdir.read_config().model.classes)
        errors = f"top-1 error {last['top1_error']:.2%}"
        if "top5_error" in shown:
            errors += f", top-5 error {last['top5_error']:.2%}"
        say(console, f"finished  {result.step:,} steps, on test images {errors}")
    say(console, f"pictures  {workdir.curves}, {workdir.filters}")
    say(console, f"parameters SHA-256 {result.params_sha256}")
    say(console, f"more epochs extend it: `alexnet train --workdir {workdir.root} --epochs N`")
    return 0


def _begin_with(arguments: list[str]) -> TrainArguments:
    """The defaults of the other flags, which follow from ``--preset``, ``--variant``, ``--init`` and ``--workdir``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for flag in ("--preset", "--variant", "--workdir", "--init"):
        parser.add_argument(flag)
    try:
        known, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}; see `alexnet train --help`") from None
    workdir = Path(known.workdir) if known.workdir else Path("runs") / (known.preset or "quickstart")
    saved = RunDirectory(workdir)
    if known.preset is None and known.variant is None and saved.has_begun:
        return TrainArguments(saved.read_config())
    if known.init is not None and known.variant is not None:
        raise UsageError(
            f"--variant is {known.variant}: the net is that of --init; `alexnet convert --variant` names it"
        )
    config = preset(known.preset or "quickstart")
    config = replace(config, data=replace(config.data, train_examples=None))
    if known.variant is not None:
        config = _with_variant(config, known.variant)
    return TrainArguments(config if known.init is None else _with_init(config, Path(known.init)))


def _with_variant(config: TrainConfig, name: str) -> TrainConfig:
    """``config`` with another net, and images stored larger than its crop in the paper's proportion, 256 to 224."""
    model = variant(name)
    size = max(config.data.image_size, stored_size(model))
    return replace(config, model=model, data=replace(config.data, image_size=size))


def _with_init(config: TrainConfig, path: Path) -> TrainConfig:
    from alexnet_jax.runtime import use_virtual_devices
    from alexnet_jax.weights.fine_tuning import fine_tuning_config
    from alexnet_jax.weights.read import read_weights

    use_virtual_devices()
    return replace(fine_tuning_config(read_weights(path), config), init=str(path))


def _workdir(parsed: TrainArguments) -> RunDirectory:
    return RunDirectory(parsed.workdir or Path("runs") / parsed.preset)
