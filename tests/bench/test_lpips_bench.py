"""``alexnet bench lpips``."""

from __future__ import annotations

import importlib.util
import json

import pytest

from tests.helpers.command import alexnet

FAST = ["--size", 32, "--repeats", 1, "--batch_sizes"]


@pytest.mark.slow
def test_every_batch_size_has_a_row_for_each_work():
    report = json.loads(alexnet("bench", "lpips", *FAST, 1, 2, "--json", "-").stdout)
    works = [f"{work}, batch {count}" for count in (1, 2) for work in ("forward", "gradient")]
    assert [row["work"] for row in report["rows"]] == works
    assert all(row["milliseconds"] > 0 and len(row["seconds"]) == 1 for row in report["rows"])
    assert (report["size"], report["peers"]) == (32, {})


def test_the_table_has_the_machine_and_the_works():
    lines = alexnet("bench", "lpips", *FAST, 1).stdout.splitlines()
    assert lines[0] == "LPIPS, 32 x 32 pixels, float32"
    assert "core(s), load" in lines[1]
    assert any(line.strip().startswith("forward + backward, batch 1") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", 31], "--size is 31: use 32 or more"),
        (["--repeats", 0], "--repeats is 0: use a number above 0"),
        (["--batch_sizes", 4, 0], "--batch_sizes is 0: use numbers above 0"),
    ],
)
def test_wrong_options_are_one_line(arguments, message):
    done = alexnet("bench", "lpips", *arguments)
    assert (done.returncode, done.stderr) == (2, f"alexnet: error: {message}\n")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")
def test_pytorch_computes_the_same_distances_and_is_timed():
    report = json.loads(alexnet("bench", "lpips", *FAST, 1, "--against", "torch", "--json", "-").stdout)
    assert all(row["torch"]["ratio"] > 0 and row["torch"]["form"] for row in report["rows"])
