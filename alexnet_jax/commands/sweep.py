"""``alexnet sweep``, and ``alexnet train --seeds``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from alexnet_jax.commands.train_help import parse_common
from alexnet_jax.commands.train_run import train_run
from alexnet_jax.config.checks import check
from alexnet_jax.console.progress import say, say_verbatim
from alexnet_jax.errors import NotFiniteError, UsageError, first_line
from alexnet_jax.hints import command
from alexnet_jax.stores.store import shown, url_of
from alexnet_jax.sweep.settings import SweptRun, swept_runs, train_the_same_net, without
from alexnet_jax.training.runs.run_directory import RunDirectory

if TYPE_CHECKING:
    from alexnet_jax.sweep.results import RunResult

_HELP = """\
usage: alexnet sweep [options of alexnet train] [--seeds N]

Train several nets, one after another, and compare their errors. If options
have several values, separated by commas, all combinations are tried:

  alexnet sweep --optimizer.learning_rate 0.005,0.01 --seeds 3

Each net has its own run directory, which other commands take. The same command
continues a sweep that was stopped.

options:
  --seeds N      nets of each combination, with consecutive seeds (default: 1)
  --seed N       the first seed (default: 0)
  --workdir DIR  the directory of all runs (default: runs/NAME-sweep)

`alexnet train --help` shows the other options.
"""


def main(arguments: list[str]) -> int:
    """Trains all nets, prints a table, and draws it."""
    options = parse_common(arguments)
    if options.help or options.help_all:
        print(_HELP, end="")
        return 0
    return sweep(arguments, options)


def sweep(arguments: list[str], options: argparse.Namespace) -> int:
    """Trains the nets of the command line ``arguments``, whose common options are ``options``."""
    root = _root(options)
    runs = swept_runs(without(arguments, "workdir", "seed", "seeds"), _seeds(options))
    from alexnet_jax.sweep.results import diverged, finished, read_results, write_results

    console, file = Console(quiet=options.quiet), root / "sweep.json"
    results = {} if options.overwrite else read_results(file)
    for number, run in enumerate(runs, start=1):
        name = f"run {number} of {len(runs)}: {run}"
        known = results.get(run.name)
        if known is not None and train_the_same_net(known.arguments, run.arguments):
            say(console, f"{name} ({known.status} before)")
            continue
        results.pop(run.name, None)
        say(console, name)
        workdir = root / run.name
        words = [*run.arguments, "--workdir", str(workdir)]
        try:
            status = train_run(words, parse_common(words), is_swept=True)
        except NotFiniteError as error:
            say(console, f"diverged  {first_line(error).partition(';')[0]}")
            results[run.name] = diverged(run)
        else:
            if status != 0:
                if root.is_dir():
                    write_results(file, results)  # without those of runs that --overwrite or other options replace
                say(Console(), "to continue the sweep:")
                say_verbatim(Console(), command("sweep", *without(arguments, "overwrite")))
                return status
            results[run.name] = finished(run, RunDirectory(workdir))
        write_results(file, results)
    _report(root, runs, results, console)
    return 0


def _root(options: argparse.Namespace) -> Path:
    """The directory of the sweep."""
    if options.distributed or options.coordinator:
        raise UsageError("a sweep trains in one process: leave --distributed and --coordinator out")
    if options.workdir is None:
        config = Path(options.config).stem if options.config else None
        name = options.preset or config or options.variant or "quickstart"
        return Path("runs") / f"{name.replace(',', '-')}-sweep"
    check(url_of(options.workdir) is None, "--workdir", shown(options.workdir), "use a directory of this machine")
    return Path(options.workdir)


def _seeds(options: argparse.Namespace) -> range:
    first, count = (
        _number(f"--{name}", getattr(options, name), default) for name, default in (("seed", 0), ("seeds", 1))
    )
    check(count >= 1, "--seeds", count, "use 1 or more")
    return range(first, first + count)


def _number(flag: str, text: str | None, default: int) -> int:
    try:
        return default if text is None else int(text)
    except ValueError:
        raise UsageError(f"{flag} is {text}: use a number") from None


def _report(root: Path, runs: Sequence[SweptRun], results: Mapping[str, RunResult], console: Console) -> None:
    from alexnet_jax.console.tables import plain_table
    from alexnet_jax.sweep.plot import draw_sweep
    from alexnet_jax.sweep.results import mean_and_spread, summarize

    settings = summarize(runs, results)
    has_validation = any(each.validation_top1_errors for each in settings)
    table = plain_table("setting", "runs", *["validation\ntop1_error"] * has_validation, "test\ntop1_error", "diverged")
    for each in settings:
        count = len(each.top1_errors) + each.diverged
        validation = [mean_and_spread(each.validation_top1_errors)] * has_validation
        table.add_row(str(each.setting), str(count), *validation, mean_and_spread(each.top1_errors), str(each.diverged))
    Console().print(table)
    say(console, "          mean ± standard deviation between seeds")
    picture = root / "sweep.png"
    draw_sweep(settings, picture)
    say(console, f"saved     {root / 'sweep.json'}, {picture}")
