"""Runs several experiments one after another, or writes the results page.

python -m experiments all                    # each in turn; nets that are finished are not trained again
python -m experiments dropout weight_decay
python -m experiments results                # writes RESULTS.md from the records
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from experiments.kit.record import read_records
from experiments.kit.registry import NAMES, experiment
from experiments.kit.results_page import write_results_page
from experiments.kit.run import Options, exit_status, run_all


@dataclass(frozen=True)
class Arguments:
    """Run experiments one after another, and write RESULTS.md. Nets that are finished are not trained again."""

    names: tyro.conf.Positional[tuple[str, ...]]
    """The experiments; `all` for all of them; `results` to write RESULTS.md from the records."""
    options: Annotated[Options, tyro.conf.arg(name="")] = field(default_factory=Options)


def main(arguments: Arguments) -> None:
    """Runs the named experiments, and writes the results page."""
    names = NAMES if arguments.names == ("all",) else arguments.names
    if names != ("results",):
        run_all([experiment(name) for name in names], arguments.options)
    write_results_page([experiment(name) for name in NAMES], read_records(arguments.options.records))


if __name__ == "__main__":
    parsed = tyro.cli(Arguments, prog="python -m experiments", use_underscores=True)
    sys.exit(exit_status(lambda: main(parsed)))
