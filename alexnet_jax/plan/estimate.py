"""From a compiled step to bytes, seconds and hours. All of them are estimates: nothing ran on a TPU."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax

from alexnet_jax.config import TrainConfig
from alexnet_jax.plan.program import Collective, Program
from alexnet_jax.plan.topology import Topology

_HOUR = 3600

# bytes that each of n chips sends for a byte of a collective, with the best algorithms
_SENT = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "collective-permute": lambda n: 1.0,
    "collective-broadcast": lambda n: 1.0,
}


@dataclass(frozen=True)
class Step:
    """What the compiler says about one step on one chip.

    Attributes:
        bytes: of memory that the step needs.
        flops: floating-point operations.
        cycles: the sum of the estimates of all operations.
        bytes_without_estimate: read and written by operations that have no estimate.
        collectives: what the chips exchange.
    """

    bytes: int
    flops: float
    cycles: int
    bytes_without_estimate: int
    collectives: tuple[Collective, ...]


@dataclass(frozen=True)
class Exchange:
    """All collectives of one kind in a step, among groups of the same size."""

    kind: str
    group: int
    """The number of chips that exchange with one another."""
    count: int
    bytes: int
    """Of the results, or of the operands if they are more, on one chip."""


@dataclass(frozen=True)
class LayoutPlan:
    """The estimate for one layout. Fields are None if they are unknown because the step does not fit or compile.

    Attributes:
        layout: its name.
        chips: the number of chips that the layout uses.
        fits: whether the step fits into the memory of a chip.
        bytes_per_chip: the bytes of memory that a step needs on one chip.
        bytes_available: the bytes of memory that one chip leaves to a program.
        problem: why there is no estimate.
        gflops_per_chip: floating-point operations of a step on one chip, in 10^9.
        million_cycles: the compiler's estimate of a step on one chip, without collectives.
        compute_seconds: the same in seconds, and the operations without an estimate at the bandwidth of the memory.
        collectives: what the chips exchange in a step.
        collective_seconds: the time of the collectives at the bandwidth of the links.
        step_seconds: the sum of the compute and collective seconds. The compiler may overlap them.
        images_per_second: the training speed of all chips together.
        hours: the hours of training steps in all epochs. None if the number of training images is not known.
        chip_hours: ``hours`` times the number of chips.
        hosts: the machines that hold the chips.
        images_per_second_per_host: what the input pipeline of each host must deliver.
        megabytes_per_second_per_host: the same, in 10^6 bytes of stored pixels.
        is_estimate: always true.
    """

    layout: str
    chips: int
    fits: bool
    bytes_per_chip: int | None
    bytes_available: int
    problem: str | None = None
    gflops_per_chip: float | None = None
    million_cycles: float | None = None
    compute_seconds: float | None = None
    collectives: tuple[Exchange, ...] = ()
    collective_seconds: float | None = None
    step_seconds: float | None = None
    images_per_second: float | None = None
    hours: float | None = None
    chip_hours: float | None = None
    hosts: int | None = None
    images_per_second_per_host: float | None = None
    megabytes_per_second_per_host: float | None = None
    is_estimate: bool = True


def read_step(compiled: jax.stages.Compiled, chips: int) -> Step:
    """Reads what the compiler says about a step.

    Args:
        compiled: the step.
        chips: those that it is compiled for.
    """
    program = Program(compiled.as_text() or "", chips)
    memory: Any = compiled.memory_analysis()
    costs: Any = compiled.cost_analysis()
    return Step(
        bytes=memory.argument_size_in_bytes
        + memory.output_size_in_bytes
        - memory.alias_size_in_bytes
        + memory.temp_size_in_bytes
        + memory.generated_code_size_in_bytes,
        flops=float(costs["flops"]),
        cycles=program.cycles(),
        bytes_without_estimate=sum(program.without_estimate().values()),
        collectives=tuple(program.collectives()),
    )


def plan_layout(layout: str, step: Step, topology: Topology, config: TrainConfig, chips: int, hosts: int) -> LayoutPlan:
    """The estimate for a layout.

    Args:
        layout: its name.
        step: what the compiler says about its step.
        topology: the chips.
        config: the run.
        chips: the number of chips that the layout uses.
        hosts: the machines that hold them.
    """
    chip = topology.chip
    compute = step.cycles / chip.clock + step.bytes_without_estimate / chip.memory_bandwidth
    exchange = sum(_seconds(collective, topology) for collective in step.collectives)
    seconds = compute + exchange
    rate = config.batch_size / seconds
    hours = None if config.data.train_examples is None else config.steps * seconds / _HOUR
    stored = config.data.image_size**2 * config.model.channels
    return LayoutPlan(
        layout=layout,
        chips=chips,
        fits=step.bytes <= chip.memory,
        bytes_per_chip=step.bytes,
        bytes_available=chip.memory,
        gflops_per_chip=step.flops / 1e9,
        million_cycles=step.cycles / 1e6,
        compute_seconds=compute,
        collectives=_exchanges(step.collectives),
        collective_seconds=exchange,
        step_seconds=seconds,
        images_per_second=rate,
        hours=hours,
        chip_hours=None if hours is None else hours * chips,
        hosts=hosts,
        images_per_second_per_host=rate / hosts,
        megabytes_per_second_per_host=rate / hosts * stored / 1e6,
    )


def without_estimate(
    layout: str, topology: Topology, chips: int, problem: str, needed: int | None = None
) -> LayoutPlan:
    """The plan for a layout whose step does not fit or does not compile.

    Args:
        layout: its name.
        topology: the chips.
        chips: the number of chips that it uses.
        problem: what is wrong.
        needed: the bytes of memory that the step needs, if they are known.
    """
    return LayoutPlan(layout, chips, False, needed, topology.chip.memory, problem)


def fastest_layout(plans: Iterable[LayoutPlan]) -> LayoutPlan | None:
    """The plan with the most images per second of those that fit. None if none fits."""
    fitting = [plan for plan in plans if plan.fits and plan.images_per_second is not None]
    return max(fitting, key=lambda plan: plan.images_per_second or 0.0, default=None)


def _exchanges(collectives: Sequence[Collective]) -> tuple[Exchange, ...]:
    groups = dict.fromkeys((each.kind, each.group) for each in collectives)
    return tuple(
        Exchange(kind, group, sum(each.times for each in same), sum(each.times * each.bytes for each in same))
        for kind, group in groups
        for same in [[each for each in collectives if (each.kind, each.group) == (kind, group)]]
    )


def _seconds(collective: Collective, topology: Topology) -> float:
    """The time of a collective in one step, by its bytes and the bandwidth of the links."""
    if collective.group == 1:
        return 0.0
    sent = _SENT.get(collective.kind, lambda n: (n - 1) / n)(collective.group) * collective.bytes
    return collective.times * sent / topology.bandwidth(collective.group)
