"""Trains an entry of the leaderboard, or writes its page.

python -m experiments.leaderboard NAME       # an entry; seeds that are finished are not trained again
python -m experiments.leaderboard results    # writes LEADERBOARD.md from the records
"""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from alexnet_jax import runtime
from alexnet_jax.console.progress import say
from alexnet_jax.errors import AlexNetError, unknown_name
from experiments.kit.nets import train_nets
from experiments.kit.run import exit_status
from experiments.leaderboard.entries import ENTRIES, MINUTES
from experiments.leaderboard.page import write_leaderboard_page
from experiments.leaderboard.record import RECORDS, make_record, read_records, write_record

_FEWEST_SEEDS = 5


@dataclass(frozen=True)
class Arguments:
    """Train an entry of the leaderboard, write its record, and LEADERBOARD.md."""

    name: Annotated[str, tyro.conf.Positional]
    """The entry; `results` to write LEADERBOARD.md from the records."""
    seeds: int = _FEWEST_SEEDS
    """The number of seeds. With fewer than five, the error is shown and no record is written."""
    data_dir: Path | None = None
    """The directory of TFDS data sets. Default: TFDS's own."""
    workdir: Path = Path("runs/leaderboard")
    """The directory of the run directories. Seeds that are finished there are not trained again."""
    records: Path = RECORDS
    """The directory of the records."""


def main(arguments: Arguments) -> None:
    """Trains the entry, and writes the page."""
    if arguments.name != "results":
        _train(arguments)
    write_leaderboard_page(read_records(arguments.records))


def _train(arguments: Arguments) -> None:
    name, tell = arguments.name, partial(say, Console())
    if name not in ENTRIES:
        raise unknown_name("entry", name, ENTRIES)
    runtime.use_compile_cache()
    runtime.tune_cpu()
    entry = {name: ENTRIES[name].config}
    nets = train_nets(entry, arguments.seeds, arguments.workdir, arguments.data_dir, tell)[name]
    record = make_record(name, _command(arguments), nets)
    tell(f"{record.mean_error:.2%} error, the longest of {len(nets)} runs took {record.longest_minutes:.1f} minutes")
    if len(nets) < _FEWEST_SEEDS:
        tell(f"no record is written, because an entry has {_FEWEST_SEEDS} seeds or more")
        return
    if record.longest_minutes > MINUTES:
        raise AlexNetError(
            f"{name} took {record.longest_minutes:.1f} minutes, so no record is written: make it faster than {MINUTES}"
        )
    tell(f"saved {write_record(record, arguments.records)}")


def _command(arguments: Arguments) -> str:
    """The command that makes the record."""
    seeds = [] if arguments.seeds == _FEWEST_SEEDS else ["--seeds", str(arguments.seeds)]
    return shlex.join(["uv", "run", "python", "-m", "experiments.leaderboard", arguments.name, *seeds])


if __name__ == "__main__":
    parsed = tyro.cli(Arguments, prog="python -m experiments.leaderboard", use_underscores=True)
    sys.exit(exit_status(lambda: main(parsed)))
