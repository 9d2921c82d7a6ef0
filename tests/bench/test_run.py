"""``alexnet bench`` on a tiny net."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest

from tests.helpers.command import alexnet


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The output and the JSON of a run in bfloat16, against float32 and plain Flax."""
    out = tmp_path_factory.mktemp("bench") / "found.json"
    arguments = ["--variant", "tiny", "--batch_size", 4, "--repeats", 2, "--dtype", "bfloat16", "--layers"]
    done = alexnet("bench", *arguments, "--against", "flax", "float32", "--json", out)
    assert done.returncode == 0, done.stderr
    return done, json.loads(out.read_text())


@pytest.mark.slow
def test_json_has_every_task_with_every_run(run):
    _, found = run
    tasks = [(row["program"], row["form"], row["work"]) for row in found["timings"]]
    works = ["forward", "gradient", "train"]
    nets = [task for task in tasks if task[0] not in ("layer", "matmul")]
    programs = (("alexnet_jax", ""), ("flax", "NHWC"), ("float32", ""))
    assert nets == [(*program, work) for work in works for program in programs]
    layers = ["conv1", "relu1", "pool1", "norm1", "conv2", "tanh2", "rnorm2", "pool2"]
    layers += ["fc3", "relu3", "drop3", "fc4"]
    assert [task[1:] for task in tasks if task[0] == "layer"] == [(name, work) for name in layers for work in works[:2]]
    for row in found["timings"]:
        assert len(row["seconds"]) == 2
        assert min(row["seconds"]) > 0


@pytest.mark.slow
def test_rates_follow_from_the_seconds(run):
    _, found = run
    for row in found["timings"]:
        median = np.median(row["seconds"])
        assert row["milliseconds"] == pytest.approx(1000 * median)
        assert row["images_per_second"] == pytest.approx(4 / median)
        rate = row["flops"] / median / 1e9
        assert row["gflops_per_second"] == pytest.approx(rate)
        assert row["fraction_of_peak"] == pytest.approx(rate / found["peak_gflops_per_second"])
    rates = [row["flops"] / min(row["seconds"]) / 1e9 for row in found["timings"] if row["program"] == "matmul"]
    assert found["peak_gflops_per_second"] == pytest.approx(max(rates))
    assert found["compile_seconds"]["cold"] > 0


@pytest.mark.slow
def test_ratios_are_medians_over_the_rounds(run):
    _, found = run
    seconds = {(row["program"], row["work"]): np.array(row["seconds"]) for row in found["timings"]}
    for peer, work in itertools.product(("flax", "float32"), ("forward", "gradient", "train")):
        expected = np.median(seconds[peer, work] / seconds["alexnet_jax", work])
        assert found["ratios"][peer][work] == pytest.approx(expected)


@pytest.mark.slow
def test_tables_show_the_machine_the_tasks_and_the_layers(run):
    done, found = run
    assert re.search(r"^net +tiny, batch 4, bfloat16, 1 device\(s\) *$", done.stdout, re.M)
    assert re.search(rf"^machine +{re.escape(found['machine']['processor'][:20])}", done.stdout, re.M)
    numbers = r"[\d.]+ +[\d.]+-[\d.]+ +[\d.]+"
    assert re.search(rf"^training step *\nalexnet_jax +{numbers} +[\d.]+ +\d+% *$", done.stdout, re.M)
    assert len(re.findall(r"% +[\d.]+ x *$", done.stdout, re.M)) == 6
    assert re.search(rf"^drop3 +forward +{numbers} *$", done.stdout, re.M)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "round 2 of 2" in done.stderr or "warming up" in done.stderr


@pytest.mark.slow
def test_json_to_standard_output_prints_only_json():
    done = alexnet("bench", "--variant", "tiny", "--batch_size", 4, "--repeats", 1, "--devices", 2, "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["variant"], found["devices"]) == ("tiny", 2)
    assert [row["work"] for row in found["timings"] if row["program"] == "alexnet_jax"] == ["train"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--variant papr", "unknown variant 'papr': did you mean paper?"),
        ("--repeats 0", "--repeats is 0: use a number above 0"),
        ("--devices 3 --variant tiny", "--devices is 3: use 1 to 2"),
        ("--against caffe", "caffe"),
        ("--against float32", "this is already timed, use it with --dtype bfloat16"),
        ("--json nowhere/found.json", "--json is nowhere/found.json: there is no"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, message, tmp_path):
    done = alexnet("bench", *arguments.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert re.fullmatch(r"(drawing initial weights\n)?alexnet: error: .*\n", done.stderr), done.stderr
