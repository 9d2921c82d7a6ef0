"""Whether ``jax.vmap`` over seeds trains several nets faster than one after another.

    uv run python -m alexnet_jax.bench.studies.vmap_seeds --out alexnet_jax/bench/studies/vmap_seeds.md

Each round times one training step of each net: of all nets in one program, mapped by ``vmap``, and of one net, as many
times as there are nets.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import tyro

from alexnet_jax.bench.machine import describe_machine
from alexnet_jax.bench.timing import seconds_of
from alexnet_jax.config import TrainConfig
from alexnet_jax.presets import preset
from alexnet_jax.runtime import tune_cpu
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.training.steps.train_step import train_step
from alexnet_jax.variants import variant


@dataclass(frozen=True)
class Arguments:
    """Time training steps of several nets, by ``vmap`` and one after another."""

    out: Path
    """The Markdown file to write."""
    variants: tuple[str, ...] = ("small", "cifar10_conv_relu", "cifar10_13pct")
    """The nets."""
    batch_sizes: tuple[int, ...] = (32, 128)
    """The images in a step of one net."""
    seeds: int = 4
    """The number of nets."""
    rounds: int = 7
    """The number of rounds. A first one, which compiles, does not count."""


def ratios(config: TrainConfig, seeds: int, rounds: int) -> list[float]:
    """The time of the steps one after another, divided by that of ``vmap``, per round. Above 1, ``vmap`` is faster."""
    keys = jax.random.split(jax.random.key(0), seeds)
    states = jax.jit(jax.vmap(partial(create_train_state, config)))(keys)
    one = jax.tree.map(lambda leaf: leaf[0], states)
    size = config.data.image_size
    images = np.random.default_rng(0).integers(0, 256, (config.batch_size, size, size, 3), np.uint8)
    batch = {"image": jax.numpy.asarray(images), "label": jax.numpy.arange(config.batch_size, dtype=np.int32) % 10}
    step = partial(train_step, config=config)
    mapped = jax.jit(jax.vmap(step, in_axes=(0, None, 0)))
    single = jax.jit(step)
    found = []
    for _ in range(rounds + 1):
        together = seconds_of(mapped, states, batch, keys)
        in_turn = sum(seconds_of(single, one, batch, key) for key in keys)
        found.append(in_turn / together)
    return found[1:]


def main(arguments: Arguments) -> None:
    """Writes the table."""
    tune_cpu()
    machine = describe_machine()
    lines = [
        "# Several nets by `vmap`, or one after another",
        "",
        f"One training step of each of {arguments.seeds} nets on one device: the time of the steps one after another,",
        "divided by the time of one program that `jax.vmap` maps over the nets. Median (range) of "
        f"{arguments.rounds} alternating rounds.",
        f"Above 1, `vmap` is faster. *Measured here*: {machine['processor']}, {machine['cores']} cores, "
        f"jax {machine['jax']}, {machine['date']}.",
        "",
        "| variant | batch size | one after another / vmap |",
        "| --- | --- | --- |",
    ]
    base = preset("quickstart")
    for name in arguments.variants:
        for batch_size in arguments.batch_sizes:
            config = replace(base, model=variant(name), batch_size=batch_size)
            found = ratios(config, arguments.seeds, arguments.rounds)
            row = f"| `{name}` | {batch_size} | {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f}) |"
            print(row)
            lines.append(row)
    arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(tyro.cli(Arguments))
