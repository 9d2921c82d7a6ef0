"""What a TPU's compiler expects a training step to cost, asked on a machine that has none.

    uv run --extra tpu python experiments/tpu_cycles.py

compiles the whole step of ``paper`` at batch 256 in bfloat16 for one v5e chip, in plain forms of its layers and in
ours, prints what the compiler expects, and keeps it in experiments/results/tpu_cycles.md. ``--forms`` names others of
``FORMS``; ``--variant`` and ``--batch_size`` choose another step, which is printed only. Nothing runs: all figures are
estimates.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import json
import math
import os
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import tyro
from jax.experimental import topologies

from alexnet_jax import variants
from alexnet_jax.bench.net import bench_config
from alexnet_jax.config import TrainConfig
from alexnet_jax.data import augment
from alexnet_jax.errors import AlexNetError, UsageError, unknown_name
from alexnet_jax.ops import layers
from alexnet_jax.training.state import create_train_state
from alexnet_jax.training.steps import train_step

FIGURES = Path(__file__).parent / "results" / "tpu_cycles.json"
PAGE = FIGURES.with_suffix(".md")
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",  # or libtpu looks for the machine that it runs on
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}

HEAD = """# A training step on a TPU, as its compiler estimates it

Written by `uv run --extra tpu python experiments/tpu_cycles.py`. Nothing ran: these are the estimates of libtpu's
compiler for one v5e chip, whole training step of `{variant}`, batch {batch_size}, bfloat16. Its 197 TFLOP/s on
four units of 128 by 128 are some 1,500 million cycles in a second. Each form differs from ours in what its line says.

- *cycles*: the sum of `estimated_cycles` over all operations of the compiled step, in millions. A loop's body counts
  once.
- *loops run out*: the same with each loop's body as often as the loop turns.
- *accessed*: gigabytes, as the compiler's cost analysis gives them.
- *no estimate*: gigabytes read and written by large operations for which the compiler gives no estimate, and which so
  count nothing in either sum; the gradient of max-pooling is one.
"""


def norm_in_float32(images: jax.Array, config: Any, towers: int) -> jax.Array:
    """The product with a band, with the gradient that JAX finds."""
    return layers._divide(images, config, layers._band_sum(layers._squares(images), config.size, towers, images.dtype))


def apart(images: jax.Array, kernel: jax.Array, config: Any, groups: int) -> jax.Array:
    parts = zip(jnp.split(images, groups, -1), jnp.split(kernel, groups, -1), strict=True)
    return jnp.concatenate([convolve(*part, config, 1) for part in parts], -1)


def as_dense(images: jax.Array, kernel: jax.Array, config: Any, groups: int) -> jax.Array:
    """One convolution of all channels, whose kernel is zero between groups."""
    parts = jnp.split(kernel, groups, -1)
    rows = [
        jnp.concatenate([part if row == column else jnp.zeros_like(part) for column in range(groups)], -1)
        for row, part in enumerate(parts)
    ]
    return convolve(images, jnp.concatenate(rows, 2), config, 1)


def by_depth(images: jax.Array, kernel: jax.Array, config: Any) -> jax.Array:
    """A convolution with a stride as one without, of blocks of pixels, in rows and columns, as channels."""
    stride, window = config.stride, config.kernel_size
    taps = -(-window // stride)
    batch, size, _, channels = images.shape
    before, after = layers._paddings(images, config)[0]
    blocks = (size + before + after - window) // stride + taps
    padding = (before, blocks * stride - before - size)
    images = jnp.pad(images, [(0, 0), padding, padding, (0, 0)])
    images = images.reshape(batch, blocks, stride, blocks, stride, channels).swapaxes(2, 3)
    kernel = jnp.pad(kernel, [(0, taps * stride - window)] * 2 + [(0, 0)] * 2)
    kernel = kernel.reshape(taps, stride, taps, stride, channels, -1).swapaxes(1, 2)
    images = images.reshape(batch, blocks, blocks, -1)
    kernel = kernel.reshape(taps, taps, stride**2 * channels, -1)
    return layers._convolution(images, kernel, (1, 1), [(0, 0), (0, 0)])


@jax.custom_jvp
def add_bias_by_ones(sums: jax.Array, bias: jax.Array) -> jax.Array:
    return sums + bias


@add_bias_by_ones.defjvp
def _add_bias_tangent(primals: Any, tangents: Any) -> Any:
    """The gradient of the bias is a product with ones."""
    ones = jnp.ones((*primals[0].shape[:-1], 1), jnp.bfloat16)
    spread = jnp.matmul(ones, tangents[1][None].astype(jnp.bfloat16), preferred_element_type=jnp.float32)
    return sum(primals), tangents[0] + spread


convolve = layers._convolve_at_once
ROWS_AND_COLUMNS = {"_convolve_in_blocks": by_depth}
PIXELS = {"_convolve_in_blocks": partial(convolve, groups=1)}
WINDOW = {"_norm_by_product": layers._norm_by_window}
SLICES = {"_squares_by_products": augment._squares_by_slices}


@dataclass(frozen=True)
class Form:
    """A way of writing the step: what it puts in the place of which private functions."""

    text: str
    layers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    augment: dict[str, Callable[..., Any]] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    """What it asks of the compiler."""


FORMS = {
    "ours": Form("as in `alexnet_jax`"),
    "plain": Form(
        "conv1 of pixels, normalisation by `reduce_window`, crops by `dynamic_slice`", PIXELS | WINDOW, SLICES
    ),
    "pixels": Form("conv1 of pixels, not of blocks of four in a row", PIXELS),
    "window": Form("normalisation by `reduce_window`", WINDOW),
    "slices": Form("crops by `dynamic_slice`", {}, SLICES),
    "joined": Form("normalisation with towers side by side", {"_norm_by_product": layers._norm_by_band}),
    "float32": Form("normalisation's gradient left to JAX", {"_norm_by_band": norm_in_float32}),
    "again": Form(
        "the same, computed again for the gradient",
        {"_norm_by_band": jax.checkpoint(norm_in_float32, static_argnums=(1, 2))},
    ),
    "apart": Form("groups as separate convolutions", {"_convolve_at_once": apart}),
    "dense": Form("groups as one convolution of all channels", {"_convolve_at_once": as_dense}),
    "depth": Form("conv1 of blocks of four by four pixels", ROWS_AND_COLUMNS),
    "separable": Form("max-pooling by rows and columns", {"_max_pool_at_once": layers._max_pool}),
    "ones": Form("gradients of biases as products with ones", {"add_bias": add_bias_by_ones}),
    "vmem32": Form(
        "32 MiB for the windows of an operation, not 16", options={"xla_tpu_scoped_vmem_limit_kib": "32768"}
    ),
}


@dataclass(frozen=True)
class Operation:
    """One line of a compiled program."""

    name: str
    kind: str
    source: str
    """What it, or the last operation fused into it, was called in JAX."""
    shape: str
    operands: tuple[str, ...]
    cycles: int | None
    called: dict[str, str]
    """The computations that it runs, by their part in it."""


def operations(text: str) -> dict[str, list[Operation]]:
    """The operations of each computation of a compiled program; the main one is called ENTRY."""
    found: dict[str, list[Operation]] = {}
    here: list[Operation] = []
    for line in text.splitlines():
        if start := re.match(r"(ENTRY )?%([\w.\-]+) \(.*\{$", line):
            here = found.setdefault("ENTRY" if start[1] else start[2], [])
        elif parts := re.match(r"\s+(?:ROOT )?%([\w.\-]+) = (\(.*?\) |\S+ )([\w\-]+)\((.*?)\)(?:,|$)(.*)", line):
            name, shape, kind, operands, rest = parts.groups()
            cycles = re.search(r'"estimated_cycles":"(\d+)"', rest)
            source = re.search(r'op_name="([^"]*)"', rest)
            here.append(
                Operation(
                    name,
                    kind,
                    source[1] if source else "",
                    shape,
                    tuple(re.findall(r"%([\w.\-]+)", operands)),
                    int(cycles[1]) if cycles else None,
                    dict(re.findall(r"(body|condition)=%([\w.\-]+)", rest)),
                )
            )
    return found


def turns(condition: list[Operation], text: str) -> int:
    """How often a loop turns that counts from 0 up to a constant."""
    limits = [re.search(rf"%{re.escape(step.name)} = s32\[\]\S* constant\((\d+)\)", text) for step in condition]
    return max((int(limit[1]) for limit in limits if limit), default=1)


BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "s16": 2, "u16": 2, "f32": 4, "s32": 4, "u32": 4}
LARGE = 1e6  # bytes


def size_of(shape: str) -> int:
    """Bytes of all arrays of a shape as XLA writes it."""
    arrays = re.findall(r"([a-z]+\d*)\[([\d,]*)\]", shape)
    return sum(BYTES.get(kind, 4) * math.prod(int(side) for side in sides.split(",") if side) for kind, sides in arrays)


# what moves nothing, or moves it while something else computes
FREE = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant", "while", "custom-call"}
BESIDES = ("-start", "-done")


def without_estimate(entry: list[Operation]) -> dict[str, int]:
    """Bytes read and written by the large operations that have no estimate, by their kind."""
    shapes = {operation.name: operation.shape for operation in entry}
    moved: dict[str, int] = defaultdict(int)
    for operation in entry:
        if operation.cycles is None and operation.kind not in FREE and not operation.kind.endswith(BESIDES):
            size = size_of(operation.shape) + sum(size_of(shapes.get(name, "")) for name in operation.operands)
            if size > LARGE:
                moved[operation.kind] += size
    return dict(moved)


GROUPS = (
    ("convolutions, with bias and ReLU", r"_convolve|relu"),
    ("max-pooling", r"_operate.*(reduce_window_max|select_and_scatter)"),
    ("normalisation", r"_operate"),
    ("dense layers, dropout, loss", r"_dense|_dropout|AlexNet\)+/|top_k|log_softmax"),
    ("images: crops, mirrors, colours", r"jit\(train_step\)/jvp|convert_element_type"),
)


def group_of(operation: Operation) -> str:
    """What an operation is for; one that is fused of several goes by the name that the compiler gave it."""
    return next(
        (name for name, pattern in GROUPS if re.search(pattern, operation.source)), "updates, copies and others"
    )


@dataclass(frozen=True)
class Estimate:
    """Of one form; cycles in millions, traffic in gigabytes."""

    cycles: float
    loops_run_out: float
    accessed: float
    no_estimate: dict[str, float]
    groups: dict[str, float]
    largest: list[tuple[float, str, str]]
    libtpu: str
    date: str


def estimate(compiled: Any) -> Estimate:
    text = compiled.as_text()
    found = operations(text)
    costs = {name: sum(step.cycles or 0 for step in steps) for name, steps in found.items()}
    again = sum(
        (turns(found[loop.called["condition"]], text) - 1) * costs[loop.called["body"]]
        for loop in found["ENTRY"]
        if loop.kind == "while"
    )
    estimated = sorted(
        (step for steps in found.values() for step in steps if step.cycles), key=lambda step: -step.cycles
    )
    groups: dict[str, float] = defaultdict(float)
    for step in estimated:
        groups[group_of(step)] += step.cycles / 1e6
    return Estimate(
        cycles=sum(costs.values()) / 1e6,
        loops_run_out=(sum(costs.values()) + again) / 1e6,
        accessed=compiled.cost_analysis()["bytes accessed"] / 1e9,
        no_estimate={kind: size / 1e9 for kind, size in without_estimate(found["ENTRY"]).items()},
        groups=dict(groups),
        largest=[(step.cycles / 1e6, step.shape.strip(), step.source) for step in estimated[:12]],
        libtpu=importlib.metadata.version("libtpu"),
        date=datetime.date.today().isoformat(),
    )


def compile_step(config: TrainConfig, options: dict[str, str]) -> Any:
    """``train_step`` compiled for one chip."""
    topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    chip = jax.sharding.SingleDeviceSharding(topology.devices[0])
    size, count = config.data.image_size, config.batch_size
    batch = {
        "image": jax.ShapeDtypeStruct((count, size, size, config.model.channels), jnp.uint8),
        "label": jax.ShapeDtypeStruct((count,), jnp.int32),
    }
    state = jax.eval_shape(partial(create_train_state, config), jax.random.key(0))
    inputs = (state, batch, jax.eval_shape(lambda: jax.random.key(0)))
    placed = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=chip), inputs)
    lowered = jax.jit(partial(train_step, config=config), donate_argnums=0).lower(*placed)
    return lowered.compile(compiler_options=options)


def ask(form: Form, config: TrainConfig) -> Estimate:
    with ExitStack() as swaps:
        for module, functions in ((layers, form.layers), (augment, form.augment)):
            for name, function in functions.items():
                swaps.enter_context(patch.object(module, name, function))
        return estimate(compile_step(config, form.options))


def row(name: str, found: Estimate) -> str:
    missing = sum(found.no_estimate.values())
    figures = f"{found.cycles:.1f} | {found.loops_run_out:.1f} | {found.accessed:.1f} | {missing:.1f}"
    return f"| {name} | {FORMS[name].text} | {figures} | {found.libtpu}, {found.date} |"


def page(found: dict[str, Estimate], variant: str = "paper", batch_size: int = 256) -> str:
    """The table of ``found``, and where the cycles of our form and of the plain one go."""
    lines = [
        HEAD.format(variant=variant, batch_size=batch_size),
        "| form | what differs | cycles | loops run out | accessed | no estimate | libtpu |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(row(name, found[name]) for name in FORMS if name in found),
    ]
    both = [name for name in ("plain", "ours") if name in found]
    lines += ["\n## Where they go\n", f"| million cycles | {' | '.join(both)} |", "| --- |" + " --- |" * len(both)]
    for group in dict.fromkeys(group for name in both for group in found[name].groups):
        lines.append(f"| {group} | {' | '.join(f'{found[name].groups.get(group, 0.0):.2f}' for name in both)} |")
    for name in both:
        kinds = ", ".join(f"{kind} {size:.2f}" for kind, size in found[name].no_estimate.items())
        lines += [f"\nWithout an estimate in `{name}`, gigabytes: {kinds}.\n\nThe largest operations of `{name}`:\n"]
        lines += ["| million cycles | result | named after |", "| --- | --- | --- |"]
        lines += [f"| {cycles:.2f} | `{shape}` | `{source}` |" for cycles, shape, source in found[name].largest]
    return "\n".join(lines) + "\n"


def kept() -> dict[str, Estimate]:
    """What was found before."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    return {name: Estimate(**found) for name, found in figures.items()}


def keep(found: dict[str, Estimate]) -> None:
    together = kept() | found
    figures = {name: asdict(together[name]) for name in FORMS if name in together}
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(page(kept()))


def main(variant: str = "paper", batch_size: int = 256, forms: tuple[str, ...] = ("plain", "ours")) -> None:
    """The compiler's estimate of a training step on one v5e chip.

    Args:
        variant: The net.
        batch_size: Images in a step.
        forms: Ways of writing the step; each takes about half a minute to compile.

    """
    if importlib.util.find_spec("libtpu") is None:
        raise UsageError(
            "the TPU compiler needs the package libtpu: uv run --extra tpu python experiments/tpu_cycles.py"
        )
    for name in forms:
        if name not in FORMS:
            raise unknown_name("form", name, FORMS)
    config = bench_config(variants.variant(variant), batch_size, "bfloat16")
    jax.config.update("jax_platforms", "cpu")
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    found: dict[str, Estimate] = {}
    for name in forms:
        found[name] = ask(FORMS[name], config)
        if (variant, batch_size) == ("paper", 256):
            keep(found)
    print(page(found, variant, batch_size))


if __name__ == "__main__":
    try:
        tyro.cli(main, use_underscores=True)
    except AlexNetError as error:
        print(f"tpu_cycles: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
