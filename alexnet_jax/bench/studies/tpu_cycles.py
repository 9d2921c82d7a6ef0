"""A TPU compiler's estimate of a training step, on a machine without a TPU.

    uv run --extra tpu python -m alexnet_jax.bench.studies.tpu_cycles

This compiles the training step of ``paper`` at batch 256 in bfloat16 for one v5e chip, once for each form in ``STEPS``,
prints the compiler's estimates and stores them in tpu_cycles.md. ``--steps`` selects forms; ``--variant`` and
``--batch_size`` choose another step, which is only printed. Nothing runs on a TPU.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import json
import os
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import tyro
from jax.experimental import topologies

from alexnet_jax import variants
from alexnet_jax.bench.net import bench_config
from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import AlexNetError, UsageError, unknown_name
from alexnet_jax.ops.backends import FORMS, PLAIN, use_forms
from alexnet_jax.plan.program import Operation, Program
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.training.steps.train_step import train_step

FIGURES = Path(__file__).parent / "tpu_cycles.json"
PAGE = FIGURES.with_suffix(".md")
PLATFORM = "tpu"
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",  # keeps libtpu from asking for the machine's metadata
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
}

HEAD = """# A training step on a TPU, estimated by its compiler

Written by `uv run --extra tpu python -m alexnet_jax.bench.studies.tpu_cycles`. **Nothing ran on a TPU.** All figures
are estimates of libtpu's compiler for one v5e chip: the training step of `{variant}`, batch {batch_size}, bfloat16. 197
TFLOP/s on four units of 128 by 128 are about 1,500 million cycles a second. The last column has the version of libtpu
and the date. The newest version on 2026-11-26, 0.0.52 with JAX 0.12.0.1, gives nearly the same: 24.2 for `ours` and
23.2 for `vmem32`, with 10.9 and 10.1 gigabytes accessed.

- *cycles*: the sum of `estimated_cycles` over all operations of the compiled step, in millions. The body of a loop
  counts once.
- *with loops*: the same, with the body of a loop counted once per iteration.
- *accessed*: gigabytes, by the compiler's cost analysis.
- *no estimate*: gigabytes read and written by large operations without an estimate, which the sums leave out.
  The gradient of max-pooling is one of them.
"""


@dataclass(frozen=True)
class Step:
    """A form of the training step."""

    text: str
    """How it differs from the default step."""
    forms: dict[str, str] = field(default_factory=dict)
    """Arguments of ``use_forms`` beyond the TPU forms."""
    options: dict[str, str | bool] = field(default_factory=dict)
    """Options of the compiler."""


OPERATIONS = tuple(operation.__name__ for operation, forms in FORMS.items() if PLATFORM in forms)
STEPS = {
    "ours": Step("the forms for a TPU"),
    "plain": Step("plain forms of all operations", dict.fromkeys(OPERATIONS, PLAIN)),
    **{f"plain_{name}": Step(f"plain form of `{name}`", {name: PLAIN}) for name in OPERATIONS},
    "pool_for_cpu": Step("max-pooling in its form for a CPU: rows, then columns", {"max_pool": "cpu"}),
    "vmem32": Step("32 MiB of scratch memory for an operation, not 16", {}, {"xla_tpu_scoped_vmem_limit_kib": "32768"}),
}
DEFAULT = ("ours", "plain", *(f"plain_{name}" for name in OPERATIONS))


OTHERS = "loss, update, copies"


def group_of(operation: Operation, scopes: Sequence[str]) -> str:
    """The named scope of an operation. A fused operation has the name of one of its parts."""
    return next((word for word in re.findall(r"\w+", operation.source) if word in scopes), OTHERS)


@dataclass(frozen=True)
class Estimate:
    """The estimate for one form; cycles in millions, traffic in gigabytes."""

    text: str
    cycles: float
    with_loops: float
    accessed: float
    no_estimate: dict[str, float]
    groups: dict[str, float]
    largest: list[tuple[float, str, str]]
    libtpu: str
    date: str


def estimate(compiled: Any, text: str, scopes: Sequence[str]) -> Estimate:
    """Reads the estimates out of a compiled step.

    Args:
        compiled: the step.
        text: how the step differs from ours.
        scopes: the named scopes to group the operations by.
    """
    program = Program(compiled.as_text())
    estimated = sorted(
        ((operation.cycles, operation) for operation in program.operations() if operation.cycles),
        key=lambda pair: -pair[0],
    )
    groups: dict[str, float] = defaultdict(float)
    for cycles, operation in estimated:
        groups[group_of(operation, scopes)] += cycles / 1e6
    return Estimate(
        text=text,
        cycles=program.cycles(loops=False) / 1e6,
        with_loops=program.cycles() / 1e6,
        accessed=compiled.cost_analysis()["bytes accessed"] / 1e9,
        no_estimate={kind: size / 1e9 for kind, size in program.without_estimate().items()},
        groups={name: groups[name] for name in (*scopes, OTHERS) if name in groups},
        largest=[(cycles / 1e6, operation.shape.strip(), operation.source) for cycles, operation in estimated[:12]],
        libtpu=importlib.metadata.version("libtpu"),
        date=datetime.date.today().isoformat(),
    )


def compile_step(config: TrainConfig, options: dict[str, str | bool]) -> Any:
    """``train_step``, compiled for one chip."""
    topology = topologies.get_topology_desc(platform=PLATFORM, topology_name="v5e:2x2")
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


def estimate_step(step: Step, config: TrainConfig) -> Estimate:
    """The compiler's estimate of the training step of ``config`` in the form of ``step``."""
    scopes = ("training_crops", *(layer.name for layer in config.model.layers()))
    with use_forms(PLATFORM, **step.forms):
        return estimate(compile_step(config, step.options), step.text, scopes)


def row(name: str, found: Estimate) -> str:
    """A row of the table of steps."""
    missing = sum(found.no_estimate.values())
    figures = f"{found.cycles:.1f} | {found.with_loops:.1f} | {found.accessed:.1f} | {missing:.1f}"
    return f"| {name} | {found.text} | {figures} | {found.libtpu}, {found.date} |"


def page(found: dict[str, Estimate], variant: str = "paper", batch_size: int = 256) -> str:
    """The tables: all steps, and the cycles of each layer in our step and in the plain one."""
    columns = ["| step | difference | cycles | with loops | accessed | no estimate | libtpu |", "| --- " * 7 + "|"]
    lines = [HEAD.format(variant=variant, batch_size=batch_size), *columns]
    lines += [row(name, found[name]) for name in STEPS if name in found]
    if dropped := [row(name, estimate) for name, estimate in found.items() if name not in STEPS]:
        lines += ["\n## Forms that were tried and not kept\n", "The history of the script has their code.\n", *columns]
        lines += dropped
    both = [name for name in ("plain", "ours") if name in found]
    lines += ["\n## Cycles by layer\n", f"| million cycles | {' | '.join(both)} |", "| --- " * (len(both) + 1) + "|"]
    for group in dict.fromkeys(group for name in both for group in found[name].groups):
        lines.append(f"| {group} | {' | '.join(f'{found[name].groups.get(group, 0.0):.2f}' for name in both)} |")
    for name in both:
        kinds = ", ".join(f"{kind} {size:.2f}" for kind, size in found[name].no_estimate.items())
        lines += [f"\nWithout an estimate in `{name}`, in gigabytes: {kinds}.\n\nThe largest operations of `{name}`:\n"]
        lines += ["| million cycles | result | name |", "| --- | --- | --- |"]
        lines += [f"| {cycles:.2f} | `{shape}` | `{source}` |" for cycles, shape, source in found[name].largest]
    return "\n".join(lines) + "\n"


def stored() -> dict[str, Estimate]:
    """The estimates of earlier runs."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    return {name: Estimate(**found) for name, found in figures.items()}


def store(found: dict[str, Estimate]) -> None:
    """Adds ``found`` to the stored estimates, and writes the page."""
    figures = {name: asdict(estimate) for name, estimate in (stored() | found).items()}
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
    PAGE.write_text(page(stored()))


def main(variant: str = "paper", batch_size: int = 256, steps: tuple[str, ...] = DEFAULT) -> None:
    """The compiler's estimate of a training step on one v5e chip.

    Args:
        variant: The net.
        batch_size: Images in a step.
        steps: Forms of the step.
    """
    if importlib.util.find_spec("libtpu") is None:
        raise UsageError(
            "the TPU compiler needs the package libtpu: "
            "uv run --extra tpu python -m alexnet_jax.bench.studies.tpu_cycles"
        )
    for name in steps:
        if name not in STEPS:
            raise unknown_name("step", name, STEPS)
    config = bench_config(variants.variant(variant), batch_size, "bfloat16")
    jax.config.update("jax_platforms", "cpu")
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    found: dict[str, Estimate] = {}
    for name in steps:
        found[name] = estimate_step(STEPS[name], config)
        if (variant, batch_size) == ("paper", 256):
            store(found)
    print(page(found, variant, batch_size))


if __name__ == "__main__":
    try:
        tyro.cli(main, use_underscores=True)
    except AlexNetError as error:
        print(f"tpu_cycles: {error}", file=sys.stderr)
        sys.exit(error.exit_status)
