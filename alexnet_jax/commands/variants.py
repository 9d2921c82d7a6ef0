"""``alexnet variants``."""

from __future__ import annotations

from alexnet_jax.commands.parsing import parse, print_table


def _no_arguments() -> None:
    """The named nets and what they count, for one image."""


def main(arguments: list[str]) -> int:
    """Prints the table."""
    parse(_no_arguments, arguments, "variants")
    from alexnet_jax.console.tables import variants_table

    print_table(variants_table())
    return 0
