"""``alexnet bench``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rich.console import Console

from alexnet_jax.commands.json_output import JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config import Dtype
from alexnet_jax.config.checks import check
from alexnet_jax.console.activity import showing_activity
from alexnet_jax.runtime import tune_cpu, use_virtual_devices
from alexnet_jax.variants import variant


@dataclass(frozen=True)
class BenchArguments:
    """Time a net: forward, forward and backward, and the training step.

    All tasks alternate after a warm-up. The tables show medians.

    The training step starts from stored images, the others from crops.

    On two devices, only the training step is timed.

    `alexnet bench data` measures the input pipeline.

    `alexnet bench features` measures the read-out of features.

    `alexnet bench lpips` measures the perceptual distance.
    """

    variant: str = "paper"
    """One of the nets that `alexnet variants` lists."""
    batch_size: int = 64
    """The number of images in a batch."""
    dtype: Dtype = "float32"
    """The type of activations and products. PyTorch then runs under its autocast."""
    devices: int = 1
    """1, or 2 for two towers."""
    repeats: int = 5
    """The number of rounds, after one warm-up round."""
    layers: bool = False
    """Also time each layer separately."""
    against: tuple[Literal["torch", "flax", "onnxruntime", "float32"], ...] = ()
    """Compare with the same net in PyTorch, plain Flax or ONNX Runtime, on CPUs, or with this net in float32. ONNX
    Runtime has the forward pass only."""
    json: JsonPath = None
    """Also write the results to a JSON file; - prints the JSON instead of the tables."""


def main(arguments: list[str]) -> int:
    """Runs the benchmark and prints the results. ``bench data``, ``features`` and ``lpips`` are separate commands."""
    if arguments[:1] == ["data"]:
        from alexnet_jax.commands import bench_data

        return bench_data.main(arguments[1:])
    if arguments[:1] == ["features"]:
        from alexnet_jax.commands import bench_features

        return bench_features.main(arguments[1:])
    if arguments[:1] == ["lpips"]:
        from alexnet_jax.commands import bench_lpips

        return bench_lpips.main(arguments[1:])
    parsed = parse(BenchArguments, arguments, "bench")
    model = variant(parsed.variant)
    _check(parsed)
    tune_cpu()
    if parsed.devices > 1:
        use_virtual_devices()
    from alexnet_jax.bench.net import bench_config
    from alexnet_jax.bench.peers import check_peer
    from alexnet_jax.bench.run import run_bench
    from alexnet_jax.bench.tables import layers_table, machine_table, steps_table
    from alexnet_jax.training.layouts import choose_layout

    for name in parsed.against:
        check_peer(name, parsed.dtype, parsed.devices)
    config = bench_config(model, parsed.batch_size, parsed.dtype)
    choose_layout(config, parsed.devices)  # refuses a wrong number of devices before the work begins
    with showing_activity() as doing:
        report = run_bench(config, parsed.devices, parsed.repeats, parsed.layers, parsed.against, doing)
    if write_json(report.as_json() | {"variant": parsed.variant}, parsed.json):
        console = Console()
        console.print(machine_table(report, parsed.variant), end="\n\n")
        console.print(steps_table(report))
        if parsed.layers:
            console.print()
            console.print(layers_table(report))
    return 0


def _check(parsed: BenchArguments) -> None:
    """Checks arguments that would otherwise fail after the benchmark. Raises UsageError."""
    for name in ("batch_size", "devices", "repeats"):
        check(getattr(parsed, name) > 0, f"--{name}", getattr(parsed, name), "use a number above 0")
    check_json_path(parsed.json)
