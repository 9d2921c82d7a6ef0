"""``alexnet bench data``."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from alexnet_jax.commands.parsing import parse, print_table
from alexnet_jax.config import DataConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.hints import command_with_packages

if TYPE_CHECKING:
    from alexnet_jax.bench.peer_pipelines import MissingPeer
    from alexnet_jax.bench.throughput import Measurement


@dataclass(frozen=True)
class BenchDataArguments:
    """Images per second from disk to shuffled batches of uint8 pixels, by this package and by others."""

    dataset: str | None = None
    """As --data.dataset of `alexnet train`. Default: synthetic photos, as JPEG and as raw pixels."""
    data_dir: str | None = None
    """Where TFDS data sets are."""
    image_size: int = 256
    """Side of the images in pixels."""
    batch_size: int = 128
    """Images in a batch."""
    seconds: float = 5.0
    """For each pipeline, three times over."""
    images: int = 2048
    """How many synthetic photos; and how many images of a data set are copied for the others to read."""
    tensorflow_python: str = sys.executable
    """The Python that has TensorFlow, for tf.data."""
    torch_python: str = sys.executable
    """The Python that has PyTorch and torchvision, for the DataLoader."""
    json: bool = False
    """Print JSON in place of a table."""

    def __post_init__(self) -> None:
        for name in ("image_size", "batch_size", "seconds", "images"):
            if getattr(self, name) <= 0:
                raise UsageError(f"--{name} is {getattr(self, name)}: use a number above 0")
        if self.images < self.batch_size:
            raise UsageError(f"--images is {self.images}: use at least the --batch_size of {self.batch_size}")


def main(arguments: list[str]) -> int:
    """Measures the pipelines, and prints a row for each and a line for each peer that is not installed."""
    parsed = parse(BenchDataArguments, arguments, "bench data")
    from alexnet_jax.bench.input_pipeline import bench_input_pipelines
    from alexnet_jax.bench.machine import describe_machine

    warnings.filterwarnings("ignore", module="PIL")  # about unusual metadata in photos
    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS recommends another decoder
    config = None if parsed.dataset is None else DataConfig(dataset=parsed.dataset, data_dir=parsed.data_dir)
    pythons = {"tensorflow": parsed.tensorflow_python, "torch": parsed.torch_python}
    with tempfile.TemporaryDirectory(prefix="alexnet-bench-") as directory:
        report = bench_input_pipelines(
            config, Path(directory), parsed.image_size, parsed.batch_size, parsed.seconds, parsed.images, pythons
        )
    machine = describe_machine()
    if parsed.json:
        print(json.dumps({**machine, "batch_size": parsed.batch_size, **asdict(report)}, indent=2))
        return 0
    what = parsed.dataset or "synthetic photos"
    title = f"{what}, {parsed.image_size} pixels, batches of {parsed.batch_size}"
    print_table(_table(report.measurements, title, machine))
    for peer in report.missing:
        print(_missing_line(peer))
    return 0


def _table(measurements: list[Measurement], title: str, machine: dict[str, Any]) -> Table:
    caption = f"{machine['processor']}, {machine['cores']} core(s), load {machine['load']}, {machine['date']}"
    table = Table(title=title, caption=caption)
    table.add_column("pipeline")
    table.add_column("stored")
    for name in ("threads", "images/s", "per core and s"):
        table.add_column(name, justify="right")
    for measurement in measurements:
        throughput = measurement.throughput
        if throughput is None:
            cells = (measurement.error, "")
        else:
            cells = (f"{throughput.images_per_second:,.0f}", f"{throughput.images_per_cpu_second:,.0f}")
        table.add_row(measurement.pipeline, measurement.stored, str(measurement.threads), *cells)
    return table


def _missing_line(peer: MissingPeer) -> str:
    remedy = command_with_packages(peer.packages, "bench", "data", python=peer.python)
    return f"{peer.pipeline} is not measured: {' and '.join(peer.packages)} not installed; use `{remedy}`"
