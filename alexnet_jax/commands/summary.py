"""``alexnet summary``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from alexnet_jax.commands.json_output import JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.variants import variant


@dataclass(frozen=True)
class SummaryArguments:
    """Print a net's layers with their windows, shapes, parameters and MACs."""

    variant: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="VARIANT")]
    """One of the nets that `alexnet variants` lists."""
    json: JsonPath = None
    """Also write the table to a JSON file; - prints the JSON instead of the table."""


def main(arguments: list[str]) -> int:
    """Prints the table."""
    parsed = parse(SummaryArguments, arguments, "summary")
    config = variant(parsed.variant)
    check_json_path(parsed.json)
    from rich.console import Console

    from alexnet_jax.console.tables import describe_totals, summary_table
    from alexnet_jax.net.summary import summarize_model

    summary = summarize_model(config)
    totals = {"variant": parsed.variant, "parameters": summary.parameters, "macs": summary.macs}
    if write_json(totals | asdict(summary), parsed.json):
        Console().print(summary_table(summary))
        print(f"\n{describe_totals(summary)}")
    return 0
