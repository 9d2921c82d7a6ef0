"""What each subcommand takes and prints. Flags are generated from the configs."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro
from rich.console import Console

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.presets import preset
from alexnet_jax.variants import variant
from alexnet_jax.workdir import WorkDir

_Arguments = TypeVar("_Arguments")


def _parse(
    kind: type[_Arguments] | Callable[..., _Arguments], arguments: list[str], command: str, **options: Any
) -> _Arguments:
    """``arguments`` as a ``kind``; what tyro would say in a box becomes one line.

    Raises UsageError for what does not parse.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=arguments, prog=f"alexnet {command}", use_underscores=True, **options)
    except SystemExit as leaving:
        if leaving.code in (0, None):
            raise
        raise UsageError(f"{_one_line(said.getvalue())}; see `alexnet {command} --help`") from None


def _one_line(box: str) -> str:
    """What is wrong, and which options are near, from tyro's box: a title, then parts between horizontal lines."""
    parts = [" ".join(re.sub("[│|]", " ", part).split()) for part in re.split("[╭╮╰╯─+]+|-{3,}", box)]
    _, wrong, *rest = [part for part in parts if part]
    near = [option for part in rest if part.startswith("Perhaps you meant") for option in re.findall(r"--[\w.]+", part)]
    return wrong + (f": did you mean {' or '.join(dict.fromkeys(near[:3]))}?" if near else "")


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


def train(arguments: list[str]) -> int:
    """``alexnet train``."""
    begin = _begin_with(arguments)
    parsed = _parse(TrainArguments, arguments, "train", default=begin)
    from alexnet_jax.parallel import use_virtual_devices

    use_virtual_devices()
    from alexnet_jax import loop

    workdir = _workdir(parsed)
    console = Console()
    keep_classes = parsed.config.model.classes != begin.config.model.classes or workdir.has_begun
    result = loop.train(parsed.config, workdir, console, parsed.devices, keep_classes)
    if result.stopped_by is not None:
        _say(console, f"stopped and saved at step {result.step:,}; go on with `alexnet train --workdir {workdir.root}`")
        return 128 + result.stopped_by
    last = next((row for row in reversed(workdir.read_metrics()) if row["split"] == "test"), None)
    if last is not None:
        errors = f"top-1 error {last['top1_error']:.2%}, top-5 error {last['top5_error']:.2%}"
        _say(console, f"finished  {result.step:,} steps, on test images {errors}")
    _say(console, f"pictures  {workdir.curves}, {workdir.filters}")
    _say(console, f"parameters SHA-256 {result.params_sha256}")
    _say(console, f"more epochs extend it: `alexnet train --workdir {workdir.root} --epochs N`")
    return 0


def _begin_with(arguments: list[str]) -> TrainArguments:
    """The defaults of the other flags, which follow from ``--preset``, ``--variant`` and ``--workdir``."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    for flag in ("--preset", "--variant", "--workdir"):
        parser.add_argument(flag)
    try:
        known, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}; see `alexnet train --help`") from None
    workdir = Path(known.workdir) if known.workdir else Path("runs") / (known.preset or "quickstart")
    saved = WorkDir(workdir)
    if known.preset is None and known.variant is None and saved.has_begun:
        return TrainArguments(saved.read_config())
    config = preset(known.preset or "quickstart")
    config = replace(config, data=replace(config.data, train_examples=None))
    return TrainArguments(config if known.variant is None else _with_variant(config, known.variant))


def _with_variant(config: TrainConfig, name: str) -> TrainConfig:
    """``config`` with another net, and images stored larger than its crop in the paper's proportion, 256 to 224."""
    model = variant(name)
    size = max(config.data.image_size, round(model.image_size * 256 / 224))
    return replace(config, model=model, data=replace(config.data, image_size=size))


def _workdir(parsed: TrainArguments) -> WorkDir:
    return WorkDir(parsed.workdir or Path("runs") / parsed.preset)


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


@dataclass(frozen=True)
class _Run:
    """A trained net, ready to be asked."""

    config: TrainConfig
    layout: Any
    state: Any
    class_names: tuple[str, ...]


def _load_run(root: Path, checkpoint: Literal["latest", "best"], devices: int | None) -> _Run:
    from alexnet_jax.parallel import use_virtual_devices

    use_virtual_devices()
    from alexnet_jax.loop import restore
    from alexnet_jax.parallel import choose_layout

    workdir = WorkDir(root)
    config = workdir.read_config()
    state = restore(config, workdir, checkpoint, warn=lambda line: print(line, file=sys.stderr))
    layout = choose_layout(config, devices)
    return _Run(config, layout, layout.place(state), workdir.read_classes())


@dataclass(frozen=True)
class EvaluateArguments:
    """Errors of a trained net on a whole split, every example counted once."""

    workdir: tyro.conf.Positional[Path]
    """The folder of the run."""
    views: Literal["center", "ten-crop"] = "center"
    """The centre; or corners, centre and their reflections, probabilities averaged (paper, section 4.1)."""
    split: Literal["test", "validation", "train"] = "test"
    checkpoint: Literal["latest", "best"] = "latest"
    """The last state, or that with the smallest validation error (test error, where nothing was held out)."""
    data_dir: str | None = None
    """Where TFDS data sets are now, if not where the run had them."""
    devices: int | None = None


def evaluate(arguments: list[str]) -> int:
    """``alexnet evaluate``."""
    parsed = _parse(EvaluateArguments, arguments, "evaluate")
    run = _load_run(parsed.workdir, parsed.checkpoint, parsed.devices)
    from alexnet_jax import evaluation
    from alexnet_jax.data.sources import open_dataset

    data_config = run.config.data if parsed.data_dir is None else replace(run.config.data, data_dir=parsed.data_dir)
    source = getattr(open_dataset(data_config, run.config.model.channels), parsed.split)
    if source is None:
        raise UsageError("--split is validation: this run held nothing out; use test or train")
    result = evaluation.evaluate(run.state, run.layout, source, parsed.views)
    print(
        f"{parsed.split}, {parsed.views}, step {int(run.state.step):,}, {result['count']:,} images: "
        f"top-1 error {result['top1_error']:.2%}, top-5 error {result['top5_error']:.2%}, loss {result['loss']:.4f}"
    )
    return 0


@dataclass(frozen=True)
class PredictArguments:
    """The five best classes for image files, with their probabilities."""

    workdir: tyro.conf.Positional[Path]
    """The folder of the run."""
    images: tyro.conf.Positional[tuple[Path, ...]]
    """JPEG, PNG or WebP files of any size."""
    views: Literal["center", "ten-crop"] = "center"
    checkpoint: Literal["latest", "best"] = "latest"
    devices: int | None = None


def predict(arguments: list[str]) -> int:
    """``alexnet predict``."""
    parsed = _parse(PredictArguments, arguments, "predict")
    if not parsed.images:
        raise UsageError("no image is named: give one or more files after the work folder")
    run = _load_run(parsed.workdir, parsed.checkpoint, parsed.devices)
    from alexnet_jax.data.images import decode_image
    from alexnet_jax.evaluation import predict_images

    images, readable, failed = [], [], 0
    for file in parsed.images:
        try:
            images.append(decode_image(file, run.config.data.image_size, run.config.model.channels))
            readable.append(file)
        except AlexNetError as error:
            print(f"alexnet: error: {error}", file=sys.stderr)
            failed += 1
    for file, best in zip(readable, predict_images(run.state, run.layout, images, parsed.views), strict=True):
        print(file)
        for probability, label in best:
            name = run.class_names[label] if label < len(run.class_names) else f"class {label}"
            print(f"  {probability:7.2%}  {name}")
    return 1 if failed else 0


def variants(arguments: list[str]) -> int:
    """``alexnet variants``."""

    def no_arguments() -> None:
        """The named nets and what they count, for one image."""

    _parse(no_arguments, arguments, "variants")
    from alexnet_jax.report import variants_table

    _print_table(variants_table())
    return 0


@dataclass(frozen=True)
class SummaryArguments:
    """A net's layers with their output shapes for one image, parameters and multiply-accumulates."""

    variant: tyro.conf.Positional[str]
    """One of those that `alexnet variants` shows."""


def summary(arguments: list[str]) -> int:
    """``alexnet summary``."""
    parsed = _parse(SummaryArguments, arguments, "summary")
    config = variant(parsed.variant)
    from alexnet_jax.report import summary_table
    from alexnet_jax.summary import summarize_model

    _print_table(summary_table(summarize_model(config)))
    return 0


def _print_table(table: Any) -> None:
    """Whole lines also where the output is a file or a pipe."""
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(table)
