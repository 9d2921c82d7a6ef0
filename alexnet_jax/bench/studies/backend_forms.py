"""The gain of each backend form: the net with all CPU forms, compared with the net with one operation in plain form.

    uv run python -m alexnet_jax.bench.studies.backend_forms

This times training steps and forward passes of one image, in pairs that alternate in one process, and writes
backend_forms.md. The estimates for TPU forms come from tpu_cycles.json.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import tyro

from alexnet_jax import runtime
from alexnet_jax.bench.machine import describe_machine
from alexnet_jax.bench.net import OwnNet, bench_config
from alexnet_jax.errors import UsageError
from alexnet_jax.ops.backends import FORMS, PLAIN, use_forms
from alexnet_jax.variants import variant

FIGURES = Path(__file__).parent / "backend_forms.json"
PAGE = FIGURES.with_suffix(".md")
TPU_FIGURES = Path(__file__).parent / "tpu_cycles.json"
PLATFORM = "cpu"
RULE = 1.03

HEAD = """# The gain of each backend form

Written by `uv run python -m alexnet_jax.bench.studies.backend_forms`. A form stays in the table
`alexnet_jax.ops.backends.FORMS` only if it makes a training step, or a forward pass of one image, at least
{percent:.0f}% faster.

By this rule the CPU form of `add_bias` was removed on 2026-11-24. It broadcast the bias to one image, so that the
gradient was summed over the batch before the pixels. A training step had the ratios 0.905 (`paper`, batch 32, 10 pairs,
0.792 to 1.055), 0.993 (`torchvision`, 0.950 to 1.188) and 1.021 (`paper`, batch 64, 16 pairs, 0.811 to 1.136).

Three CPU forms changed on 2026-11-27. `add_bias` computes its gradient as a product with ones, `max_pool` has another
derivative, and `convolve` computes pairs of pixels if the images have few channels. A training step of the quick run
(`small`, two towers, batch 32) took 1.106 times as much processor time without the three (medians of 60 and of 40
alternating pairs), and without one of them 1.02 (`max_pool`), 1.04 (`convolve`) and 1.06 (`add_bias`) times as much, on
a busy AMD EPYC (Zen 3).

On the same day `dense` got a plain product in the forward pass, and keeps the transposed one for the gradient of the
units.
"""

CPU_HEAD = """
## CPU, measured

Each line compares the net with all CPU forms and the same net with one operation in its plain form, in pairs that
alternate in one process. *Plain / form* is the median over the pairs of the ratio of the two times. *Range* is from the
second smallest to the second largest ratio. Above 1, the form is faster. *Wins* is yes if the median is at least {rule}
and the range is above 1, no if the range is below {rule}, and open otherwise.

{machine}

| operation | net | work | pairs | ms with the form | plain / form | range | wins |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""

TPU_HEAD = """
## TPU, estimated

Nothing ran on a TPU: these are the compiler's estimates for a training step of `paper` from `tpu_cycles.md`, batch 256,
bfloat16, one v5e chip, libtpu {libtpu}, {date}. The body of a loop counts once per iteration.

| operation | million cycles with all forms | with the plain form | plain / form |
| --- | --- | --- | --- |
"""


@dataclass(frozen=True)
class Gain:
    """The times of one form and of the plain form that replaces it."""

    operation: str
    net: str
    work: str
    seconds: list[float]
    plain_seconds: list[float]

    @property
    def quotients(self) -> list[float]:
        """Plain over form of each pair, sorted."""
        return sorted(plain / form for form, plain in zip(self.seconds, self.plain_seconds, strict=True))

    @property
    def verdict(self) -> str:
        """Whether the form wins, as the page explains it."""
        low, high = self.quotients[1], self.quotients[-2]
        if statistics.median(self.quotients) >= RULE and low > 1:
            return "yes"
        return "no" if high < RULE else "open"


def alternate(form: Callable[[], float], plain: Callable[[], float], pairs: int) -> tuple[list[float], list[float]]:
    """The seconds of each, after a first run of both that compiles them. The order alternates between pairs."""
    form(), plain()
    seconds: tuple[list[float], list[float]] = [], []
    for pair in range(pairs):
        for index in (0, 1) if pair % 2 == 0 else (1, 0):
            seconds[index].append((form, plain)[index]())
    return seconds


def with_forms(work: Callable[[], float], **plain: str) -> Callable[[], float]:
    """``work`` with the forms of the platform, except for those of ``plain``."""

    def run() -> float:
        with use_forms(PLATFORM, **plain):
            return work()

    return run


def measure(name: str, batch_size: int, pairs: int) -> Iterator[Gain]:
    """The gain of each form in a training step and in a forward pass of one image of the variant ``name``."""
    for work, size in (("train", batch_size), ("forward", 1)):
        contender = OwnNet(bench_config(variant(name), size), devices=1).contenders()[work]
        for operation in (operation.__name__ for operation, forms in FORMS.items() if PLATFORM in forms):
            print(f"{name}, {work}, {operation}", file=sys.stderr, flush=True)
            form, plain = alternate(with_forms(contender), with_forms(contender, **{operation: PLAIN}), pairs)
            yield Gain(operation, name, f"{work}, batch {size}", form, plain)


def page(figures: dict[str, Any], tpu_figures: dict[str, dict[str, Any]]) -> str:
    """The page of the figures that ``main`` stored and of the estimates for TPUs."""
    machine = figures["machine"]
    lines = [HEAD.format(percent=100 * (RULE - 1)) + CPU_HEAD.format(machine=describe(machine), rule=RULE).rstrip()]
    for gain in sorted((Gain(**entry) for entry in figures["gains"]), key=lambda gain: gain.operation):
        quotients = gain.quotients
        lines.append(
            f"| {gain.operation} | {gain.net} | {gain.work} | {len(quotients)} "
            f"| {1000 * statistics.median(gain.seconds):.0f} | {statistics.median(quotients):.3f} "
            f"| {quotients[1]:.3f} to {quotients[-2]:.3f} | {gain.verdict} |"
        )
    ours = tpu_figures["ours"]
    lines.append(TPU_HEAD.format(**ours).rstrip())
    for operation in (operation.__name__ for operation, forms in FORMS.items() if "tpu" in forms):
        cycles, plain = ours["with_loops"], tpu_figures[f"plain_{operation}"]["with_loops"]
        lines.append(f"| {operation} | {cycles:.1f} | {plain:.1f} | {plain / cycles:.3f} |")
    return "\n".join(lines) + "\n"


def describe(machine: dict[str, object]) -> str:
    """One line about the machine, its load and the versions."""
    return (
        f"{machine['processor']}, {machine['cores']} cores, load {machine['load']} at the start and "
        f"{machine['last_load']} at the end; jax {machine['jax']}, Python {machine['python']}, {machine['date']}; "
        "float32."
    )


def main(nets: tuple[str, ...] = ("paper", "torchvision"), batch_size: int = 32, pairs: int = 10) -> None:
    """The gain of each CPU form in a training step and in a forward pass.

    Args:
        nets: The variants.
        batch_size: Images in a training step.
        pairs: Pairs of runs for each form; at least 4.
    """
    if pairs < 4:
        raise UsageError(f"pairs is {pairs}: use at least 4")
    runtime.tune_cpu()
    machine, gains = describe_machine(), []
    for gain in chain.from_iterable(measure(name, batch_size, pairs) for name in nets):
        gains.append(asdict(gain))
        machine["last_load"] = describe_machine()["load"]
        FIGURES.write_text(json.dumps({"machine": machine, "gains": gains}, indent=1) + "\n")
    PAGE.write_text(page(json.loads(FIGURES.read_text()), json.loads(TPU_FIGURES.read_text())))
    print(PAGE.read_text())


if __name__ == "__main__":
    tyro.cli(main, use_underscores=True)
