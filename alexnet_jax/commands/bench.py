"""``alexnet bench``."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from alexnet_jax.commands.parsing import parse, print_table
from alexnet_jax.config import Dtype
from alexnet_jax.config.checks import check
from alexnet_jax.console.progress import say
from alexnet_jax.errors import UsageError
from alexnet_jax.files import replace_file
from alexnet_jax.variants import variant

_SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True)
class BenchArguments:
    """How fast a net runs on this machine: forward, forward and backward, and the whole training step, warm.

    All that is timed takes turns in one run, and the medians are shown. The training step begins with uint8 images and
    crops them; the other two begin with floats. Two devices are timed in the training step only.
    `alexnet bench data` times what feeds it.
    """

    variant: str = "paper"
    """One of those that `alexnet variants` shows."""
    batch_size: int = 64
    """Images in a step."""
    dtype: Dtype = "float32"
    """What activations and products are made in; PyTorch's peer then runs under its autocast."""
    devices: int = 1
    """1, or 2 for two towers."""
    repeats: int = 5
    """Rounds, after one that warms up."""
    layers: bool = False
    """Each layer alone, too."""
    against: tuple[Literal["torch", "flax", "float32"], ...] = ()
    """What takes turns with ours: the same net in PyTorch or in plain Flax, on CPUs, or
    our own in float32 beside another --dtype."""
    json: Annotated[str | None, tyro.conf.arg(metavar="PATH|-")] = None
    """Also as JSON, into a file; - prints it instead of the tables."""


def main(arguments: list[str]) -> int:
    """Prints what it found; ``bench data`` is a command of its own."""
    if arguments[:1] == ["data"]:
        from alexnet_jax.commands import bench_data

        return bench_data.main(arguments[1:])
    parsed = parse(BenchArguments, arguments, "bench")
    model = variant(parsed.variant)
    _check(parsed)
    if parsed.devices > 1:
        from alexnet_jax.runtime import use_virtual_devices

        use_virtual_devices()
    from alexnet_jax.bench.net import bench_config
    from alexnet_jax.bench.peers import check_peer
    from alexnet_jax.bench.run import run_bench
    from alexnet_jax.bench.tables import describe, layers_table, steps_table

    for name in parsed.against:
        check_peer(name, parsed.dtype)
    config = bench_config(model, parsed.batch_size, parsed.dtype)
    with _progress() as doing:
        report = run_bench(config, parsed.devices, parsed.repeats, parsed.layers, parsed.against, doing)
    text = json.dumps(report.as_json() | {"variant": parsed.variant}, indent=2)
    if parsed.json == "-":
        print(text)
        return 0
    if parsed.json is not None:
        replace_file(Path(parsed.json), text + "\n")
    print(describe(report, parsed.variant))
    print_table(steps_table(report))
    if parsed.layers:
        print_table(layers_table(report))
    return 0


def _check(parsed: BenchArguments) -> None:
    """Raises UsageError for what would only come out at the end."""
    for name in ("batch_size", "devices", "repeats"):
        check(getattr(parsed, name) > 0, f"--{name}", getattr(parsed, name), "use a number above 0")
    if parsed.json not in (None, "-") and not Path(parsed.json).parent.is_dir():
        raise UsageError(f"--json is {parsed.json}: there is no folder {Path(parsed.json).parent}")


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """What is being done, on the error stream: a live line in a terminal, elsewhere a line every few seconds."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("starting") as status:
            yield status.update
        return
    last = -_SECONDS_BETWEEN_LINES

    def line(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(console, text)

    yield line
