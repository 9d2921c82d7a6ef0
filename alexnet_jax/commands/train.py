"""``alexnet train``."""

from __future__ import annotations

from alexnet_jax.commands.sweep import sweep
from alexnet_jax.commands.train_help import parse_common, short_help
from alexnet_jax.commands.train_run import train_run


def main(arguments: list[str]) -> int:
    """Trains, and prints the result and the next commands."""
    options = parse_common(arguments)
    if options.help:
        print(short_help(), end="")
        return 0
    if options.seeds is not None and not options.help_all:
        return sweep(arguments, options)
    return train_run(arguments, options)
