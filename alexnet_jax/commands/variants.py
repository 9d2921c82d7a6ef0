"""``alexnet variants``."""

from __future__ import annotations

from dataclasses import dataclass

from alexnet_jax.commands.json_output import JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse


@dataclass(frozen=True)
class VariantsArguments:
    """List the named nets with their image sizes, parameters and MACs."""

    json: JsonPath = None
    """Also write the list to a JSON file; - prints the JSON instead of the table."""


def main(arguments: list[str]) -> int:
    """Prints the table."""
    parsed = parse(VariantsArguments, arguments, "variants")
    check_json_path(parsed.json)
    from rich.console import Console

    from alexnet_jax.console.tables import variants_json, variants_table

    if write_json(variants_json(), parsed.json):
        Console().print(variants_table())
    return 0
