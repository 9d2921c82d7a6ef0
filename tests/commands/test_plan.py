"""``alexnet plan``, with a compiler that returns a small program at once, and with the real one."""

from __future__ import annotations

import importlib.util
import json
from datetime import date
from types import SimpleNamespace

import jax
import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.plan import compiler, report, topology
from tests.helpers.command import alexnet

PROGRAM = """HloModule jit_train_step

ENTRY %main (gradients: f32[25000000]) -> f32[25000000] {
  %gradients = f32[25000000]{0} parameter(0)
  %sum = f32[25000000]{0} all-reduce(%gradients), replica_groups={}, to_apply=%add
  ROOT %update = f32[25000000]{0} fusion(%sum), calls=%f, backend_config={"estimated_cycles":"15030000"}
}
"""


class Compiled:
    """A step of 10 ms."""

    def __init__(self, temporary: int = 2**30) -> None:
        self.temporary = temporary

    def as_text(self) -> str:
        return PROGRAM

    def cost_analysis(self) -> dict[str, float]:
        return {"flops": 4e11}

    def memory_analysis(self) -> SimpleNamespace:
        sizes = dict.fromkeys(("argument", "output", "alias", "generated_code"), 2**20)
        return SimpleNamespace(
            **{f"{name}_size_in_bytes": size for name, size in sizes.items()}, temp_size_in_bytes=self.temporary
        )


@pytest.fixture
def compile_at_once(monkeypatch):
    """Replaces the compiler. The argument maps layouts to their steps, or to the errors of the compiler."""

    def replace(steps):
        def compile_step(layout, config, devices):
            step = steps.get(layout, Compiled())
            if isinstance(step, Exception):
                raise step
            return step

        devices = [SimpleNamespace(process_index=index // 4, device_kind="TPU v5 lite") for index in range(16)]
        monkeypatch.setattr(topology, "require_compiler", lambda: None)
        for module in (compiler, report):
            monkeypatch.setattr(module, "devices_of", lambda topology: devices[: topology.chips])
        monkeypatch.setattr(compiler, "compile_step", compile_step)
        monkeypatch.setattr(report, "version", lambda name: "0.0")

    return replace


def rows_of(text):
    return [line.split() for line in text.splitlines()]


def test_the_table_has_a_row_for_each_layout_and_names_the_fastest(compile_at_once):
    compile_at_once({"hybrid": Compiled(2**34)})
    done = alexnet("plan", "--topology", "v5e:4x4", "--batch_size", 2048)
    assert done.returncode == 0, done.stderr
    rows = rows_of(done.stdout)
    assert ["data", "16", "yes", "1.00", "400", "15.0", "10.00", "1.88", "11.88"] in rows
    assert ["hybrid", "16", "no", "16.00", "400", "15.0", "10.00", "1.88", "11.88"] in rows
    assert ["single", "1", "yes", "1.00", "400", "15.0", "10.00", "0.00", "10.00"] in rows
    assert ["data", "172,462", "0.19", "2.97", "4", "43,116", "8,477"] in rows
    assert ["data", "all-reduce", "16", "1", "100.00"] in rows
    assert "fastest   single: 204,799 images/s on 1 chip(s), 0.16 hours, 0.16 chip-hours\n" in done.stdout
    assert "every figure is an estimate" in done.stdout
    assert len([line for line in done.stderr.splitlines() if "ms a step (compiled in" in line]) == 5


def test_json_has_the_layouts_and_what_they_are_planned_for(compile_at_once):
    compile_at_once({})
    done = alexnet("plan", "--topology", "v5e:2x2", "--layouts", "data", "mesh", "--json", "-")
    found = json.loads(done.stdout)
    planned_for = found[0]["planned_for"]
    assert found[1]["planned_for"] == planned_for
    assert planned_for.pop("run").keys() == {"model", "batch_size", "micro_batches", "dtype"}
    assert planned_for == {
        "topology": "v5e:2x2",
        "device_kind": "TPU v5 lite",
        "devices": 4,
        "date": date.today().isoformat(),
        "compiler": "libtpu 0.0",
    }
    assert [plan["layout"] for plan in found] == ["data", "mesh"]
    assert found[0]["chips"] == 4
    assert found[0]["fits"]
    assert found[0]["million_cycles"] == pytest.approx(15.03)
    assert found[0]["collectives"] == [{"kind": "all-reduce", "group": 4, "count": 1, "bytes": 100_000_000}]
    assert found[0]["is_estimate"]


def test_a_layout_that_does_not_work_leaves_the_others(compile_at_once):
    too_large = "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO temporaries (20.13G) "
    compile_at_once(
        {
            "mesh": UsageError("--layout mesh needs a net of two towers"),
            "single": jax.errors.JaxRuntimeError(f"{too_large}exceeds available HBM (15.75G)."),
        }
    )
    done = alexnet("plan", "--topology", "v5e:2x2", "--layouts", "single", "mesh", "data")
    rows = rows_of(done.stdout)
    assert ["single", "1", "no", "20.13"] in rows
    assert ["mesh", "4", "no"] in rows
    assert "note      mesh: --layout mesh needs a net of two towers" in done.stdout
    assert "fastest   data" in done.stdout


def test_few_images_on_many_chips_suggest_a_large_batch(compile_at_once):
    compile_at_once({})
    done = alexnet("plan", "--topology", "v5e:4x4", "--layouts", "data")
    assert "16 chips get 8 image(s) each at a time; a larger --batch_size or --preset" in done.stdout


@pytest.mark.parametrize("width", [60, 80])
def test_tables_fit_the_terminal(compile_at_once, monkeypatch, width):
    compile_at_once({})
    monkeypatch.setenv("COLUMNS", str(width))
    tables = alexnet("plan", "--topology", "v5e:4x4", "--batch_size", 2048).stdout.partition("\nchips")[0]
    assert max(map(len, tables.splitlines())) <= width
    assert "…" not in tables


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--topology", "v5e:3x3"], "--topology is 'v5e:3x3': use v5e:SHAPE with one of the shapes 1x1"),
        (["--topology", "v5e:2x2", "--preset", "imagenet_papr"], "unknown preset 'imagenet_papr': did you mean"),
        (["--topology", "v5e:2x2", "--batch_size", "0"], "--batch_size is 0: use a number above 0"),
        (["--topology", "v5e:2x2", "--layouts", "pod"], "--layouts is 'pod': use single or towers"),
    ],
)
def test_errors_are_one_line(arguments, message):
    done = alexnet("plan", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"alexnet: error: {message}")
    assert done.stderr.count("\n") == 1


def test_a_missing_compiler_is_named_with_the_extra_that_installs_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    done = alexnet("plan", "--topology", "v5e:2x2")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "alexnet: error: the compiler for TPUs needs the package libtpu: install it with `pip install libtpu`, or in a "
        "clone with `uv sync --extra tpu`\n"
    )


@pytest.mark.slow
@pytest.mark.optimized
@pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed")
def test_the_compiler_for_tpus_compiles_a_step_for_four_chips():
    done = alexnet("plan", "--topology", "v5e:2x2", "--preset", "cifar10", "--layouts", "data", "--json", "-")
    assert done.returncode == 0, done.stderr
    [plan] = json.loads(done.stdout)
    assert (plan["layout"], plan["chips"], plan["fits"], plan["hosts"]) == ("data", 4, True, 1)
    assert plan["million_cycles"] > 0.1
    parameters = 204_970
    [gradients] = plan["collectives"]
    assert (gradients["kind"], gradients["group"]) == ("all-reduce", 4)
    assert 4 * parameters <= gradients["bytes"] <= 4 * parameters + 1000
    assert plan["images_per_second"] > 10_000
