"""What the devices exchange in a step of each layout."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys

import jax
import pytest

from alexnet_jax.plan.program import Collective, size_of
from alexnet_jax.training.steps.state import abstract_train_state
from tests.helpers.nets import tiny_config
from tests.plan.eight_devices import BATCH_SIZE

SCALARS = 64
"""Bytes of the loss, the errors and the count, at most."""
SPECS = ("data/paper/8", "data/paper/8/3", "data/alexnet_bn/8", "mesh/paper/8", "towers/paper/2", "hybrid/paper/8")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exchanged() -> dict[str, list[Collective]]:
    """The collectives of each layout, in programs as users run them."""
    command = [sys.executable, "-m", "tests.plan.eight_devices", *SPECS]
    done = subprocess.run(command, capture_output=True, text=True, env=without_nproc(), check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["layout"]: [Collective(**each) for each in row["collectives"]] for row in rows}


def without_nproc() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NPROC"}


def params_of(variant: str) -> dict[str, dict[str, jax.ShapeDtypeStruct]]:
    return abstract_train_state(tiny_config(variant)).params


def bytes_of(tree: object) -> int:
    return sum(4 * math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


def moved(collectives: list[Collective]) -> int:
    return sum(each.times * each.bytes for each in collectives)


def arrays_of(collective: Collective) -> set[tuple[int, ...]]:
    """The shapes of the arrays of a collective."""
    return {tuple(map(int, sides.split(","))) for sides in re.findall(r"\[([\d,]+)\]", collective.shape)}


def test_data_moves_the_gradients_once(exchanged):
    found = exchanged["data/paper/8"]
    gradients = bytes_of(params_of("paper"))
    assert gradients <= moved(found) <= gradients + SCALARS
    assert {(each.kind, each.group) for each in found} == {("all-reduce", 8)}


def test_the_images_of_micro_batches_stay_on_their_devices(exchanged):
    """Each part moves the gradients once, and the metrics."""
    found = exchanged["data/paper/8/3"]
    gradients = bytes_of(params_of("paper"))
    assert {(each.kind, each.group) for each in found} == {("all-reduce", 8)}
    assert moved(found) <= 3 * (gradients + SCALARS)


def test_data_moves_the_statistics_of_batches_and_what_their_gradients_need(exchanged):
    """Two sums for each channel forward and three backward, and the gradients once."""
    channels = sum(layer["mean"].size for layer in abstract_train_state(tiny_config("alexnet_bn")).batch_stats.values())
    assert channels > 0
    gradients = bytes_of(params_of("alexnet_bn"))
    assert gradients < moved(exchanged["data/alexnet_bn/8"]) <= gradients + 5 * 4 * channels + SCALARS


@pytest.mark.parametrize(("layout", "replicas"), [("towers/paper/2", 1), ("mesh/paper/8", 4)])
def test_towers_exchange_the_inputs_of_conv3_and_of_the_dense_layers_and_no_weights(exchanged, layout, replicas):
    between = [each for each in exchanged[layout] if each.group == 2]
    widths = {"conv3": [3 * 3 * 16], "fc6": [8], "fc7": [16], "fc8": [16, 10]}  # of inputs, and of the logits
    want = sorted(
        (kind, layer, 4 * BATCH_SIZE // replicas * width)
        for kind in ("all-gather", "reduce-scatter")
        for layer, each in widths.items()
        for width in each
    )
    assert sorted((each.kind, re.search(r"/(conv3|fc\d)/", each.source)[1], each.bytes) for each in between) == want


def test_mesh_moves_the_gradients_of_its_half_of_the_weights_once(exchanged):
    among_replicas = [each for each in exchanged["mesh/paper/8"] if each.group != 2]
    half = bytes_of(params_of("paper")) // 2
    assert {(each.kind, each.group) for each in among_replicas} == {("all-reduce", 4)}
    assert half <= moved(among_replicas) <= half + SCALARS


def test_hybrid_moves_no_weights_of_dense_layers_and_the_gradients_of_the_others_once(exchanged):
    params = params_of("paper")
    dense = {name: layer["kernel"].shape for name, layer in params.items() if name.startswith("fc")}
    parts = {part for rows, units in dense.values() for part in parts_of(rows, units)}
    parts = {part for part in parts if 1 not in part}  # these are gradients of biases
    found = exchanged["hybrid/paper/8"]
    assert not [each for each in found if arrays_of(each) & parts]
    convolutions = bytes_of({name: layer for name, layer in params.items() if name.startswith("conv")})
    [gradients] = [each for each in found if "f32[11,11,3,8]" in each.shape]
    assert convolutions <= size_of(gradients.shape) <= convolutions + bytes_of(params["fc8"]["bias"]) + SCALARS


def parts_of(rows: int, units: int) -> set[tuple[int, ...]]:
    """The shapes of a kernel and of its eighths, also transposed."""
    shapes = {(rows, units), (rows, units // 8), (rows // 8, units)}
    return shapes | {shape[::-1] for shape in shapes}
