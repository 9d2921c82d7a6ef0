"""Every layout trains like one device."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

ALL = ("towers/2", "mesh/2", "data/2", "mesh/8", "data/8", "hybrid/8")
WITHOUT_8 = ("towers/2", "mesh/2", "data/4", "hybrid/4")
TOWERS = ("towers/2", "mesh/2", "mesh/8", "hybrid/8")


def differences(scenario, *layouts, steps=5):
    """The lines of ``eight_devices``, by layout."""
    command = [sys.executable, "-m", "tests.training.layouts.eight_devices", scenario, *layouts]
    environment = os.environ | {"STEPS": str(steps)}
    environment.pop("NPROC", None)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row.pop("layout"): row for row in rows}


def assert_close(row, rtol, **others):
    sha256 = row.pop("sha256")
    assert len(sha256) == 64
    for name, value in row.items():
        assert value <= others.get(name, rtol), f"{name}: {value}"


def test_layouts_with_several_replicas_train_like_one_device():
    """LRN across the towers, dropout, random crops and a drop of the rate."""
    found = differences("norm_across_towers", "data/4", "mesh/8", "hybrid/8")
    for row in found.values():
        assert_close(row, 1e-5)


@pytest.mark.slow
@pytest.mark.optimized  # without optimisation, pmap and shard_map differ in the last bit on some processors
@pytest.mark.parametrize(
    ("scenario", "layouts"),
    [("paper", ALL), ("norm_across_towers", TOWERS), ("batch_norm", WITHOUT_8), ("lars", ("mesh/2", "hybrid/4"))],
)
def test_every_layout_trains_like_one_device_over_20_steps(scenario, layouts):
    found = differences(scenario, *layouts, steps=20)
    assert set(found) == set(layouts)
    if scenario in ("paper", "norm_across_towers"):  # LARS adds up the norms of the two towers in another order
        assert found["towers/2"]["sha256"] == found["mesh/2"]["sha256"]
    for row in found.values():
        assert_close(row, 1e-4)


@pytest.mark.slow
def test_every_layout_skips_a_batch_whose_loss_is_not_a_number():
    for row in differences("skip", "towers/2", "mesh/8", "hybrid/8").values():
        assert_close(row, 1e-4)


@pytest.mark.slow
def test_every_layout_trains_like_one_device_in_bfloat16():
    """To 0.04 of the largest value: 10 roundings of bfloat16, which has 8 bits."""
    for row in differences("bfloat16", *WITHOUT_8).values():
        assert_close(row, 0.04)


@pytest.mark.slow
def test_a_rule_that_needs_whole_arrays_works_on_every_layout_but_towers():
    for row in differences("adafactor", *WITHOUT_8[1:]).values():
        assert_close(row, 1e-4)
