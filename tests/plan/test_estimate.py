"""From what the compiler says to seconds and hours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alexnet_jax.plan.estimate import Exchange, LayoutPlan, Step, fastest_layout, plan_layout, without_estimate
from alexnet_jax.plan.program import Collective
from alexnet_jax.plan.topology import parse_topology
from alexnet_jax.presets import preset

TOPOLOGY = parse_topology("v5e:4x4")
STEP = Step(bytes=2**30, flops=4e9, cycles=15_030_000, bytes_without_estimate=819_000_000, collectives=())
GRADIENTS = Collective("all-reduce", 100_000_000, 16, 1, "f32[25000000]", "grad")
TOWERS = Collective("all-gather", 1_000_000, 2, 3, "bf16[500000]", "gather")


def plan(step: Step = STEP, layout: str = "data", batch_size: int = 2048) -> LayoutPlan:
    config = replace(preset("imagenet_paper"), batch_size=batch_size)
    return plan_layout(layout, step, TOPOLOGY, config, chips=16, hosts=4)


def test_cycles_and_the_bytes_without_an_estimate_become_seconds():
    assert plan().compute_seconds == pytest.approx(0.010 + 0.001, rel=1e-3)  # at 1.503 GHz, and at 819 GB/s


def test_collectives_take_the_time_of_their_bytes():
    """Each chip sends 2 x 15/16 of the gradients over two links of 50 GB/s, and half of the outputs over one."""
    found = plan(replace(STEP, collectives=(GRADIENTS, TOWERS, GRADIENTS)))
    assert found.collective_seconds == pytest.approx(2 * 1.875e8 / 100e9 + 3 * 0.5e6 / 50e9)
    assert found.step_seconds == pytest.approx(found.compute_seconds + found.collective_seconds)
    assert found.collectives == (
        Exchange("all-reduce", 16, 2, 200_000_000),
        Exchange("all-gather", 2, 3, 3_000_000),
    )


def test_a_collective_of_one_chip_takes_no_time():
    assert plan(replace(STEP, collectives=(replace(GRADIENTS, group=1),))).collective_seconds == 0


def test_rates_and_hours_follow_from_the_step():
    found = plan()
    steps = 90 * (1_281_167 // 2048)
    assert found.images_per_second == pytest.approx(2048 / found.step_seconds)
    assert found.hours == pytest.approx(steps * found.step_seconds / 3600)
    assert found.chip_hours == pytest.approx(16 * found.hours)
    assert found.images_per_second_per_host == pytest.approx(found.images_per_second / 4)
    assert found.megabytes_per_second_per_host == pytest.approx(found.images_per_second / 4 * 256 * 256 * 3 / 1e6)


def test_a_run_of_unknown_length_has_no_hours():
    config = preset("photos")
    assert config.data.train_examples is None
    found = plan_layout("single", STEP, TOPOLOGY, config, chips=1, hosts=1)
    assert (found.hours, found.chip_hours) == (None, None)
    assert found.images_per_second > 0


def test_a_step_fits_if_the_memory_of_a_chip_has_room():
    memory = TOPOLOGY.chip.memory
    assert plan(replace(STEP, bytes=memory)).fits
    assert not plan(replace(STEP, bytes=memory + 1)).fits


def test_the_fastest_layout_is_one_that_fits():
    slow, fast = plan(), plan(replace(STEP, cycles=1_000_000), layout="hybrid")
    large = plan(replace(STEP, cycles=1, bytes=TOPOLOGY.chip.memory + 1), layout="single")
    failed = without_estimate("towers", TOPOLOGY, 2, "out of memory", 2**40)
    assert fastest_layout([failed, large, slow, fast]) is fast
    assert fastest_layout([failed, large]) is None
