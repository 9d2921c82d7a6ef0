"""``alexnet bench features``."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from alexnet_jax.commands.json_output import JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config.checks import check
from alexnet_jax.runtime import tune_cpu
from alexnet_jax.variants import variant


@dataclass(frozen=True)
class BenchFeaturesArguments:
    """Measure the read-out of features: images per second from an HDF5 file of photos to one of features.

    With --torch_python, PyTorch does the same with forward hooks, and both alternate.
    """

    variant: str = "torchvision"
    """One of the nets that `alexnet variants` lists, with initial weights."""
    layers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LAYER ...")] = (
        "pool1",
        "pool2",
        "relu3",
        "relu4",
        "pool5",
        "fc6",
        "fc7",
    )
    """The layers."""
    images: int = 512
    """The number of photos, which are synthetic."""
    rounds: int = 3
    """How often each program runs. The table shows medians."""
    torch_python: str | None = None
    """A Python interpreter that has torch and h5py."""
    json: JsonPath = None
    """Also write the results to a JSON file; - prints the JSON instead of the table."""


def main(arguments: list[str]) -> int:
    """Measures the read-outs and prints a row for each."""
    parsed = parse(BenchFeaturesArguments, arguments, "bench features")
    for name in ("images", "rounds"):
        check(getattr(parsed, name) > 0, f"--{name}", getattr(parsed, name), "use a number above 0")
    check_json_path(parsed.json)
    model = variant(parsed.variant)
    from alexnet_jax.bench.machine import describe_machine
    from alexnet_jax.bench.readout import bench_readout

    tune_cpu()
    with tempfile.TemporaryDirectory(prefix="alexnet-bench-") as directory:
        report = bench_readout(model, parsed.layers, parsed.images, parsed.rounds, parsed.torch_python, Path(directory))
    machine = describe_machine()
    result = {**machine, "variant": parsed.variant, "layers": parsed.layers, "images": parsed.images}
    if not write_json({**result, **asdict(report), "ratio": report.ratio}, parsed.json):
        return 0
    from alexnet_jax.console.tables import plain_table

    print(
        f"{parsed.variant}, {parsed.images:,} images, {' '.join(parsed.layers)}, {report.file_bytes / 2**20:,.0f} MiB"
    )
    print(f"{machine['processor']}, {machine['cores']} core(s), load {machine['load']}, {machine['date']}\n")
    table = plain_table("read-out", "images/s", "per CPU s")
    for row in report.measurements:
        cells = ("", "")
        if row.throughput is not None:
            cells = f"{row.throughput.images_per_second:,.1f}", f"{row.throughput.images_per_cpu_second:,.1f}"
        table.add_row(f"{row.pipeline}{f', {row.stored}' if row.stored else ''}", *cells)
    Console().print(table)
    for row in report.measurements:
        if row.error:
            print(f"{row.pipeline}, {row.stored} failed: {row.error}")
    if report.ratio is not None:
        print(f"\nratio to PyTorch's faster form: {report.ratio:.2f}")
    if report.differences:
        print(f"largest difference of a feature: {max(report.differences.values()):.1e} of the layer's largest")
    return 0
