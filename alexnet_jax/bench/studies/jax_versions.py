"""Compares the speed of two JAX versions on the CPU: the same work in two processes, alternating.

    uv run python -m alexnet_jax.bench.studies.jax_versions .venv/bin/python OTHER_VENV/bin/python

This prints the ratio of the second to the first, as in the tables of jax_versions.md.
``--ynn_fusion_type VALUE``, which may be repeated, runs the second with that value of XLA's flag in place of the choice
of ``alexnet_jax.runtime.tune_cpu``. ``default`` leaves the choice to XLA. Each process needs 4 GB.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

BATCH_SIZES = {"paper": 64, "small": 32}
WORKS = ("train", "forward")
TUNED = "tuned"
XLA_DEFAULT = "default"


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="*", help="two interpreters that have alexnet_jax installed")
    parser.add_argument("--ynn_fusion_type", action="append", default=[])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--net", action="append", choices=BATCH_SIZES, default=[])
    parser.add_argument("--worker", metavar="FLAG_VALUE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        serve(arguments.worker)
        return
    first, second = arguments.pythons
    values = arguments.ynn_fusion_type or [TUNED]
    base, *others = [Worker(first, TUNED), *(Worker(second, value) for value in values)]
    print(f"First: {base.about}. Second: {others[0].about}. {arguments.pairs} pairs.\n")
    print("| net | work | YNNPACK for | first, ms | second, ms | second / first | 95% interval |")
    print("| --- " * 7 + "|", flush=True)
    for net, work in itertools.product(arguments.net or BATCH_SIZES, WORKS):
        rounds = [[worker.seconds(net, work) for worker in (base, *others)] for _ in range(arguments.pairs + 1)]
        base_seconds, *others_seconds = zip(*rounds[1:], strict=True)  # the first round compiles
        for other, seconds in zip(others, others_seconds, strict=True):
            print(row(net, work, other.ynn_fusion_type, base_seconds, seconds), flush=True)


def row(net: str, work: str, fusions: str, firsts: Sequence[float], seconds: Sequence[float]) -> str:
    """One row of the table."""
    ratios = sorted(second / first for first, second in zip(firsts, seconds, strict=True))
    low, high = median_interval(ratios)
    what = f"{net}, batch {BATCH_SIZES[net]} | {work} | {fusions or 'nothing'}"
    times = f"{1e3 * statistics.median(firsts):.0f} | {1e3 * statistics.median(seconds):.0f}"
    return f"| {what} | {times} | {statistics.median(ratios):.3f} | {low:.3f} - {high:.3f} |"


def median_interval(values: list[float]) -> tuple[float, float]:
    """The 95% interval of the median of sorted ``values``, from the binomial distribution of ranks."""
    from scipy.stats import binom

    rank = int(binom.ppf(0.025, len(values), 0.5))
    return values[max(rank - 1, 0)], values[min(len(values) - rank, len(values) - 1)]


class Worker:
    """A process of ``python`` that runs steps on request."""

    def __init__(self, python: str, ynn_fusion_type: str) -> None:
        self.ynn_fusion_type = ynn_fusion_type
        command = [python, "-m", "alexnet_jax.bench.studies.jax_versions", f"--worker={ynn_fusion_type}"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.about = self._read()

    def seconds(self, net: str, work: str) -> float:
        """The seconds of one step of ``work``."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([net, work]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


def serve(ynn_fusion_type: str) -> None:
    """Answers requests until the standard input ends."""
    from alexnet_jax import runtime

    if ynn_fusion_type not in (TUNED, XLA_DEFAULT):
        os.environ["XLA_FLAGS"] = f"--xla_cpu_experimental_ynn_fusion_type={ynn_fusion_type}"
    runtime.tune_cpu()
    import jax

    if ynn_fusion_type == XLA_DEFAULT:  # the backend has not started
        os.environ["XLA_FLAGS"] = runtime.untuned(os.environ).get("XLA_FLAGS", "")

    from alexnet_jax.bench.net import OwnNet, bench_config
    from alexnet_jax.variants import variant

    nets = {}
    flags = os.environ.get("XLA_FLAGS", "none")
    print(json.dumps(f"jax {jax.__version__}, Python {sys.version.split()[0]}, XLA_FLAGS {flags}"), flush=True)
    for line in sys.stdin:
        net, work = json.loads(line)
        if net not in nets:
            nets[net] = OwnNet(bench_config(variant(net), BATCH_SIZES[net]), 1).contenders()
        print(json.dumps(nets[net][work]()), flush=True)


if __name__ == "__main__":
    main()
