"""``auto`` with a plan, on the virtual devices of a CPU and with a made-up plan for them."""

from __future__ import annotations

import json
from dataclasses import replace

import jax
import pytest

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.training.layouts import OneDevice, TowerMesh, TwoTowers, choose_layout, reason_of
from alexnet_jax.training.layouts.choice import DataParallel, Hybrid
from alexnet_jax.training.layouts.stored_plan import planned_run, read_plan
from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config

CONFIG = tiny_config()


def layout(name, speed, fits=True, chips=2):
    step = None if speed is None else CONFIG.batch_size / speed
    return {"layout": name, "chips": chips, "fits": fits, "images_per_second": speed, "step_seconds": step}


def write_plan(folder, *layouts, config=CONFIG, **changes):
    planned_for = {
        "device_kind": jax.devices()[0].device_kind,
        "devices": 2,
        "date": "2026-11-26",
        "run": planned_run(config),
    }
    file = folder / "plan.json"
    file.write_text(json.dumps([each | {"planned_for": planned_for | changes} for each in layouts]))
    return file


def test_auto_takes_the_fastest_layout_of_the_plan_that_fits(tmp_path):
    layouts = [layout("data", 90.0), layout("mesh", 100.0), layout("hybrid", 200.0, fits=False), layout("towers", None)]
    plan = read_plan(write_plan(tmp_path, *layouts))
    found = choose_layout(CONFIG, plan=plan)
    assert isinstance(found, TowerMesh)
    assert len(found.devices) == 2
    reason = "mesh: the plan of 2026-11-26 for 2 x cpu finds it fastest, with an estimate of 80.0 ms a step"
    assert reason_of(found, plan) == reason


def test_the_fastest_layout_may_use_fewer_devices(tmp_path):
    plan = read_plan(write_plan(tmp_path, layout("single", 100.0, chips=1), layout("data", 90.0)))
    found = choose_layout(CONFIG, plan=plan)
    assert isinstance(found, OneDevice)
    assert len(found.devices) == 1


@pytest.mark.parametrize("names", [("TPU v5 lite", "TPU v5e"), ("TPU v5", "TPU v5p"), ("TPU v6 lite", "TPU v6e")])
def test_both_names_of_a_tpu_are_the_same(tmp_path, names):
    plan = read_plan(write_plan(tmp_path, layout("data", 90.0), device_kind=names[0]))
    plan.check(CONFIG, names[1], 2)


def test_a_plan_fits_any_number_of_classes(tmp_path):
    plan = read_plan(write_plan(tmp_path, layout("data", 90.0)))
    config = replace(CONFIG, model=replace(CONFIG.model, classes=7))
    assert isinstance(choose_layout(config, plan=plan), DataParallel)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"devices": 16}, "it is for 16 x cpu, and the run has 2 x cpu; make a plan for this run"),
        ({"device_kind": "TPU v5 lite"}, "it is for 2 x TPU v5 lite, and the run has 2 x cpu"),
        ({"config": replace(CONFIG, batch_size=16, dtype="bfloat16")}, "its run has another batch_size and dtype"),
        ({"config": tiny_config("original")}, "its run has another model; make"),
        ({"fits": False}, "no layout fits into the memory"),
    ],
)
def test_a_plan_for_something_else_is_refused(tmp_path, changes, message):
    file = write_plan(tmp_path, layout("data", 90.0, fits=changes.get("fits", True)), **changes)
    with pytest.raises(UsageError, match=f"--plan is {file}: {message}"):
        choose_layout(CONFIG, plan=read_plan(file))


def test_a_plan_with_a_layout_is_refused(tmp_path):
    plan = read_plan(write_plan(tmp_path, layout("data", 90.0)))
    with pytest.raises(UsageError, match="with --layout mesh: leave out one of them"):
        choose_layout(CONFIG, layout="mesh", plan=plan)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", "[3]", '[{"layout": "data"}]'])
def test_another_file_is_refused_in_one_line(tmp_path, text):
    if text is not None:
        (tmp_path / "plan.json").write_text(text)
    with pytest.raises(AlexNetError, match=r"it cannot be read as a plan .*; use a file that") as raised:
        read_plan(tmp_path / "plan.json")
    assert "\n" not in str(raised.value)


def test_without_a_plan_the_memory_decides_and_the_reason_says_so():
    assert isinstance(choose_layout(CONFIG), TwoTowers)
    assert reason_of(choose_layout(CONFIG)) is None
    for kind, fit in ((DataParallel, "fit"), (Hybrid, "do not fit")):
        reason = f"{kind.name}, without a --plan: the net and its gradients {fit} into the memory of a device"
        assert reason_of(kind(CONFIG, jax.devices())) == reason


@pytest.mark.slow
def test_the_command_takes_a_plan_and_names_it(tmp_path, photos):
    options = ["--workdir", tmp_path / "run", "--data.dataset", photos(), "--epochs", 1, "--batch_size", 4]
    assert alexnet("train", *options).returncode == 0
    config = RunDirectory(tmp_path / "run").read_config()
    file = write_plan(tmp_path, layout("data", 100.0), config=config)
    done = alexnet("train", *options, "--epochs", 2, "--plan", file)
    assert done.returncode == 0, done.stderr
    assert "layout    data: the plan of 2026-11-26 for 2 x cpu finds it fastest" in done.stdout
    assert "1/2 of each batch (--layout data)" in done.stdout
