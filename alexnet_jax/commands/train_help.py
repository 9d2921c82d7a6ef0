"""The short help of ``alexnet train``: the common options. ``--help-all`` shows the others."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Callable, Iterable, Mapping

from alexnet_jax.errors import UsageError
from alexnet_jax.hints import command
from alexnet_jax.presets import PRESETS
from alexnet_jax.variants import VARIANTS

_OPTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "what to train": {
        "--preset": ("NAME", "the run to start from; other options change it"),
        "--variant": ("NAME", "another net for the run"),
        "--model.classes": ("N", "outputs of the net, if more than the data set has classes"),
        "--config": ("FILE", "JSON with the fields to change, or the config.json of a run"),
        "--init": ("PATH", "weights to start from: a file, a run or a name"),
        "--workdir": ("DIR", "the run directory; an existing run resumes"),
    },
    "data": {
        "--data.dataset": ("NAME", "a TFDS data set, or a folder with a subfolder for each class"),
        "--data.data_dir": ("DIR", "the directory of TFDS data sets"),
        "--data.image_size": ("N", "side of the stored images in pixels"),
        "--data.validation_fraction": ("X", "fraction of the training images to hold out"),
    },
    "recipe": {
        "--epochs": ("N", "passes over the training images"),
        "--batch_size": ("N", "images in a step"),
        "--optimizer.learning_rate": ("X", "initial learning rate"),
        "--schedule.epochs": ("X ...", "epochs at which the learning rate drops"),
        "--optimizer.frozen": ("LAYER ...", "layers that keep their initial weights"),
        "--dtype": ("NAME", "float32 or bfloat16"),
        "--seed": ("N", "random seed"),
        "--seeds": ("N", "train this many nets"),
    },
    "running": {
        "--devices": ("N", "the number of devices; by default, one for each tower"),
        "--layout": ("NAME", "auto, single, towers, data, mesh or hybrid"),
        "--log": ("NAME", "also log the metrics with tensorboard, wandb or trackio"),
        "--profile": ("DIR", "write a profiler trace of a few steps to DIR"),
    },
}
_FLAGS = {
    "--overwrite": "delete the run in the run directory and start afresh",
    "--distributed": "train with several processes",
    "--quiet": "print only errors and the final line",
    "--help-all": "show every option",
}
_OF_SEVERAL_PROCESSES = {"--coordinator": str, "--processes": int, "--process_id": int, "--step_timeout": float}
"""Options that the help does not show, but that are needed before the others are parsed."""


def parse_common(arguments: list[str]) -> argparse.Namespace:
    """The options of ``arguments`` that the short help shows, as text. Others are ignored.

    Raises:
        UsageError: an option has no value.
    """
    try:
        return _parser().parse_known_args(arguments)[0]
    except argparse.ArgumentError as error:
        raise UsageError(f"{error}; see `{command('train', '--help')}`") from None


def short_help() -> str:
    """The help text, wrapped to the terminal or to 80 columns."""
    return _parser().format_help()


def _parser() -> argparse.ArgumentParser:
    width = min(shutil.get_terminal_size().columns, 80)
    parser = argparse.ArgumentParser(
        prog="alexnet train",
        usage="alexnet train [options]",
        description="Train a net, or resume the run in a run directory.",
        epilog=f"{_listing('presets', PRESETS, width)}\n\n{_names('variants', VARIANTS, width)}",
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=32, width=width),
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    for title, options in _OPTIONS.items():
        group = parser.add_argument_group(title)
        for flag, (metavar, text) in options.items():
            name, _, several = metavar.partition(" ")
            group.add_argument(flag, metavar=name, nargs="*" if several else None, help=text)
    for flag, text in _FLAGS.items():
        group.add_argument(flag, action="store_true", help=text)
    for flag, kind in _OF_SEVERAL_PROCESSES.items():
        parser.add_argument(flag, type=kind, help=argparse.SUPPRESS)
    parser.add_argument("--cluster", default="auto", help=argparse.SUPPRESS)
    group.add_argument("-h", "--help", action="store_true", help="show this text")
    return parser


def _listing(title: str, makers: Mapping[str, Callable[[], object]], width: int) -> str:
    """Names with shortened descriptions, one per line."""
    column = max(map(len, makers)) + 4
    lines = [f"  {name}".ljust(column) + _summary(make, width - column) for name, make in makers.items()]
    return "\n".join([f"{title}:", *lines])


def _names(title: str, makers: Iterable[str], width: int) -> str:
    """Names without descriptions, in lines of at most ``width``. ``alexnet variants`` describes them."""
    heading = f"{title} (`{command('variants')}` describes them):"
    return "\n".join([heading, textwrap.fill(", ".join(makers), width, initial_indent="  ", subsequent_indent="  ")])


def _summary(make: Callable[[], object], width: int) -> str:
    first_line = (make.__doc__ or "").partition("\n")[0].replace("``", "")
    return textwrap.shorten(first_line.removesuffix("."), width, placeholder=" ...")
