"""Parsing of a compiled program. Compiling for a TPU takes too long for a test."""

import pytest

from alexnet_jax.bench.studies import tpu_cycles as script
from alexnet_jax.errors import UsageError
from alexnet_jax.ops.backends import use_forms

PROGRAM = """HloModule jit_train_step

%body.1 (state: (s32[], u8[9])) -> (s32[], u8[9]) {
  %state = (s32[]{:T(128)}, u8[9]{0}) parameter(0)
  ROOT %step.1 = (s32[]{:T(128)}, u8[9]{0}) fusion(%state), calls=%f, \
metadata={op_name="jit(train_step)/jvp(training_crops)/dynamic_slice"}, backend_config={"estimated_cycles":"1000"}
}

%condition.1 (state: (s32[], u8[9])) -> pred[] {
  %limit = s32[]{:T(128)} constant(7)
  ROOT %less = pred[]{:T(512)} compare(%turn, %limit), direction=LT
}

ENTRY %main.1 (images: f32[1000,500]) -> f32[1000,500] {
  %images = f32[1000,500]{1,0:T(8,128)} parameter(0)
  %loop = (s32[]{:T(128)}, u8[9]{0}) while(%start), condition=%condition.1, body=%body.1
  %norm.1 = (f32[8]{0}, bf16[1000,500]{1,0:T(8,128)(2,1)S(1)}) fusion(%images), kind=kOutput, calls=%g, \
metadata={op_name="jit(train_step)/jvp(AlexNet)/AlexNet._apply/norm1/mul"}, backend_config={"estimated_cycles":"30000"}
  %cheap = bf16[4]{0} negate(%images)
  %update = f32[4]{0} fusion(%images), calls=%h, backend_config={"estimated_cycles":"2000"}
  ROOT %pool.1 = f32[1000,500]{1,0:T(8,128)} select-and-scatter(%images, %cheap), select=%ge, scatter=%add, \
metadata={op_name="jit(train_step)/transpose(jvp(AlexNet))/AlexNet._apply/pool1/select_and_scatter"}
}
"""


class Compiled:
    def as_text(self):
        return PROGRAM

    def cost_analysis(self):
        return {"bytes accessed": 3e9}


@pytest.fixture
def found(monkeypatch):
    monkeypatch.setattr(script.importlib.metadata, "version", lambda name: "0.0")
    return script.estimate(Compiled(), "the forms for a TPU", ("training_crops", "norm1"))


def test_loop_body_counts_once_or_once_per_iteration(found):
    assert found.cycles == pytest.approx(0.033)
    assert found.with_loops == pytest.approx(0.039)


def test_operations_without_an_estimate_are_listed_by_their_bytes(found):
    assert found.no_estimate == {"select-and-scatter": pytest.approx(0.004000008), "negate": pytest.approx(0.002000008)}


def test_operations_are_grouped_by_layer(found):
    cycles = {"training_crops": 0.001, "norm1": 0.03, script.OTHERS: 0.002}
    assert found.groups == pytest.approx(cycles)
    assert found.largest[0][0] == pytest.approx(0.03)


def test_page_matches_the_stored_estimates():
    assert script.PAGE.read_text() == script.page(script.stored()), "run tpu_cycles.py again"
    assert set(script.DEFAULT) <= script.stored().keys()


def test_every_step_chooses_existing_forms():
    for step in script.STEPS.values():
        with use_forms(script.PLATFORM, **step.forms):
            pass


def test_missing_compiler_is_named_with_the_command_that_helps(monkeypatch):
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="uv run --extra tpu"):
        script.main()


def test_unknown_step_suggests_similar_names(monkeypatch):
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: True)
    with pytest.raises(UsageError, match="unknown step 'plane': did you mean plain"):
        script.main(steps=("plane",))
