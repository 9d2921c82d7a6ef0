"""``alexnet summary``."""

from __future__ import annotations

from dataclasses import dataclass

import tyro

from alexnet_jax.commands.parsing import parse, print_table
from alexnet_jax.variants import variant


@dataclass(frozen=True)
class SummaryArguments:
    """A net's layers with their output shapes for one image, parameters and multiply-accumulates."""

    variant: tyro.conf.Positional[str]
    """One of those that `alexnet variants` shows."""


def main(arguments: list[str]) -> int:
    """Prints the table."""
    config = variant(parse(SummaryArguments, arguments, "summary").variant)
    from alexnet_jax.console.tables import summary_table
    from alexnet_jax.net.summary import summarize_model

    print_table(summary_table(summarize_model(config)))
    return 0
