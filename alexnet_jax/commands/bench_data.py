"""``alexnet bench data``."""

from __future__ import annotations

import logging
import math
import sys
import tempfile
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from alexnet_jax.commands.json_output import JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config import DataConfig
from alexnet_jax.config.checks import check
from alexnet_jax.errors import UsageError
from alexnet_jax.hints import command_with_packages

if TYPE_CHECKING:
    from alexnet_jax.bench.peer_pipelines import MissingPeer
    from alexnet_jax.bench.throughput import Measurement


@dataclass(frozen=True)
class BenchDataArguments:
    """Measure input pipelines: images per second from disk to shuffled batches.

    The peers are TFDS with Grain, tf.data and PyTorch's DataLoader.
    """

    dataset: str | None = None
    """A data set, as in --data.dataset of `alexnet train`. Default: synthetic photos, as JPEG and as raw pixels."""
    data_dir: str | None = None
    """The directory of TFDS data sets."""
    image_size: int = 256
    """The side of the images in pixels."""
    batch_size: int = 128
    """The number of images in a batch."""
    seconds: float = 5.0
    """The seconds to measure each pipeline in each of three rounds."""
    images: int = 2048
    """The number of synthetic photos, or of images of --dataset that are copied for the other programs."""
    tensorflow_python: str | None = None
    """A Python interpreter that has TensorFlow, for tf.data. Default: this one."""
    torch_python: str | None = None
    """A Python interpreter that has PyTorch and torchvision, for the DataLoader. Default: this one."""
    json: JsonPath = None
    """Also write the results to a JSON file; - prints the JSON instead of the table."""

    def __post_init__(self) -> None:
        for name in ("image_size", "batch_size", "seconds", "images"):
            check(0 < getattr(self, name) < math.inf, f"--{name}", getattr(self, name), "use a number above 0")
        check_json_path(self.json)
        if self.images < self.batch_size:
            raise UsageError(f"--images is {self.images}: use at least the --batch_size of {self.batch_size}")


def main(arguments: list[str]) -> int:
    """Measures the pipelines. Prints a row for each pipeline and a line for each missing peer."""
    parsed = parse(BenchDataArguments, arguments, "bench data")
    from alexnet_jax.bench.input_pipeline import bench_input_pipelines
    from alexnet_jax.bench.machine import describe_machine

    warnings.filterwarnings("ignore", module="PIL")  # about unusual metadata in photos
    logging.getLogger("absl").setLevel(logging.ERROR)  # TFDS recommends another decoder
    config = None if parsed.dataset is None else DataConfig(dataset=parsed.dataset, data_dir=parsed.data_dir)
    pythons = {
        "tensorflow": parsed.tensorflow_python or sys.executable,
        "torch": parsed.torch_python or sys.executable,
    }
    with tempfile.TemporaryDirectory(prefix="alexnet-bench-") as directory:
        report = bench_input_pipelines(
            config, Path(directory), parsed.image_size, parsed.batch_size, parsed.seconds, parsed.images, pythons
        )
    machine = describe_machine()
    if write_json({**machine, "batch_size": parsed.batch_size, **asdict(report)}, parsed.json):
        print(f"{parsed.dataset or 'synthetic photos'}, {parsed.image_size} pixels, batches of {parsed.batch_size}")
        print(f"{machine['processor']}, {machine['cores']} core(s), load {machine['load']}, {machine['date']}\n")
        Console().print(_table(report.measurements))
        for measurement in report.measurements:
            if measurement.error:
                print(f"{measurement.pipeline}, {measurement.stored} failed: {measurement.error}")
        for peer in report.missing:
            print(_missing_line(peer))
    return 0


def _table(measurements: list[Measurement]) -> Table:
    from alexnet_jax.console.tables import plain_table

    table = plain_table("pipeline", "stored", "threads", "images/s", "per CPU s")
    for row in measurements:
        cells = ("", "")
        if row.throughput is not None:
            cells = f"{row.throughput.images_per_second:,.0f}", f"{row.throughput.images_per_cpu_second:,.0f}"
        table.add_row(row.pipeline, row.stored, str(row.threads), *cells)
    return table


def _missing_line(peer: MissingPeer) -> str:
    remedy = command_with_packages(peer.packages, "bench", "data", python=peer.python)
    return f"{peer.pipeline} is not measured: {' and '.join(peer.packages)} not installed; use `{remedy}`"
