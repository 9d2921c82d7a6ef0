"""``alexnet summary``."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from alexnet_jax.commands.json_output import JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.errors import UsageError
from alexnet_jax.variants import VARIANTS, variant
from alexnet_jax.weights.names import is_name_of_weights

if TYPE_CHECKING:
    from alexnet_jax.weights.weights import Weights


@dataclass(frozen=True)
class SummaryArguments:
    """Print which AlexNet a net is, with its preprocessing, its published accuracies and its layers."""

    net: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="VARIANT|NET")]
    """One of the nets that `alexnet variants` lists, a run directory, or a file or pretrained:NAME of weights."""
    variant: str | None = None
    """The net, if a file of weights fits more than one."""
    format: Literal["table", "torchsummary"] = "table"
    """torchsummary prints only the layers, with the rows and sizes of the Python package torchsummary."""
    json: JsonPath = None
    """Also write the table to a JSON file; - prints the JSON instead of the table."""


def main(arguments: list[str]) -> int:
    """Prints the table."""
    parsed = parse(SummaryArguments, arguments, "summary")
    check_json_path(parsed.json)
    weights = _weights(parsed)
    config = variant(parsed.net) if weights is None else weights.config.model
    from rich.console import Console

    from alexnet_jax.console.tables import describe_totals, fields_table, summary_table
    from alexnet_jax.net.summary import summarize_model
    from alexnet_jax.net.torch_table import torch_table
    from alexnet_jax.variants.nearest import nearest_variant
    from alexnet_jax.weights.describe import describe_facts, facts_of

    last_layer = None if weights is None else weights.last_layer
    summary = summarize_model(config, last_layer)
    nearest = nearest_variant(config)
    facts = facts_of(nearest, config, weights)
    totals = {"parameters": summary.parameters, "macs": summary.macs}
    if write_json(facts | totals | asdict(summary), parsed.json):
        if parsed.format == "torchsummary":
            print(torch_table(config, last_layer))
        else:
            console = Console()
            console.print(fields_table(describe_facts(nearest, config, facts)))
            console.print()
            console.print(summary_table(summary))
            print(f"\n{describe_totals(summary)}")
    if facts.get("looks_untrained"):
        print(
            f"alexnet: warning: {parsed.net}: the weights of all layers look like initial weights; is it the trained "
            "net?",
            file=sys.stderr,
        )
    return 0


def _weights(parsed: SummaryArguments) -> Weights | None:
    """The weights of a run or a file, or None for the name of a net."""
    path = Path(parsed.net)
    is_weights = path.exists() or path.suffix or path.name != parsed.net or is_name_of_weights(parsed.net)
    if parsed.net in VARIANTS or not is_weights:
        if parsed.variant is not None:
            raise UsageError(f"--variant is {parsed.variant!r}: only files of weights take it")
        return None
    from alexnet_jax.commands.trained import load_net

    return load_net(path, "latest", parsed.variant)
