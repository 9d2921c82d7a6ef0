"""``alexnet bench lpips``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from rich.console import Console

from alexnet_jax.commands.json_output import JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config.checks import check
from alexnet_jax.console.activity import showing_activity
from alexnet_jax.runtime import tune_cpu


@dataclass(frozen=True)
class BenchLpipsArguments:
    """Time the perceptual distance: forward, and forward and backward to the first images.

    All tasks alternate after a warm-up. The table shows medians.
    """

    batch_sizes: tuple[int, ...] = (1, 16)
    """The numbers of pairs of images."""
    size: int = 256
    """The side of the images in pixels, 32 or more."""
    repeats: int = 5
    """The number of rounds, after one warm-up round."""
    against: tuple[Literal["torch"], ...] = ()
    """Compare with the same distance in PyTorch, on CPUs."""
    json: JsonPath = None
    """Also write the results to a JSON file; - prints the JSON instead of the table."""


def main(arguments: list[str]) -> int:
    """Runs the benchmark and prints the results."""
    parsed = parse(BenchLpipsArguments, arguments, "bench lpips")
    for number in parsed.batch_sizes:
        check(number > 0, "--batch_sizes", number, "use numbers above 0")
    check(parsed.size >= 32, "--size", parsed.size, "use 32 or more")
    check(parsed.repeats > 0, "--repeats", parsed.repeats, "use a number above 0")
    check_json_path(parsed.json)
    from alexnet_jax.bench.lpips import bench_lpips
    from alexnet_jax.bench.peers import check_peer

    tune_cpu()
    for name in parsed.against:
        check_peer(name, "float32")
    with showing_activity() as doing:
        report = bench_lpips(parsed.batch_sizes, parsed.size, parsed.repeats, parsed.against, doing)
    if write_json(report, parsed.json):
        _print(report)
    return 0


def _print(report: dict[str, Any]) -> None:
    from alexnet_jax.bench.peers import PEERS
    from alexnet_jax.console.tables import plain_table

    machine = report["machine"]
    print(f"LPIPS, {report['size']} x {report['size']} pixels, float32")
    print(f"{machine['processor']}, {machine['cores']} core(s), load {machine['load']}, {machine['date']}")
    for about in report["peers"].values():
        print(about)
    columns = [column for name in report["peers"] for column in (f"{PEERS[name]} ms", "speed-up", "its form")]
    table = plain_table("work", "ms", *columns)
    for row in report["rows"]:
        cells = [row["work"].replace("gradient", "forward + backward"), f"{row['milliseconds']:.1f}"]
        for name in report["peers"]:
            cells += [f"{row[name]['milliseconds']:.1f}", f"{row[name]['ratio']:.2f} x", row[name]["form"]]
        table.add_row(*cells)
    Console().print(table)
