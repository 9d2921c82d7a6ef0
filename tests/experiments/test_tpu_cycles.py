"""The script that asks a TPU's compiler reads the compiled program right; the compiler itself takes too long here."""

import importlib.util
import sys
from pathlib import Path

import pytest

from alexnet_jax.errors import UsageError

SCRIPT = Path(__file__).parents[2] / "experiments" / "tpu_cycles.py"

PROGRAM = """HloModule jit_train_step

%body.1 (state: (s32[], u8[9])) -> (s32[], u8[9]) {
  %state = (s32[]{:T(128)}, u8[9]{0}) parameter(0)
  ROOT %step.1 = (s32[]{:T(128)}, u8[9]{0}) fusion(%state), calls=%f, backend_config={"estimated_cycles":"1000"}
}

%condition.1 (state: (s32[], u8[9])) -> pred[] {
  %limit = s32[]{:T(128)} constant(7)
  ROOT %less = pred[]{:T(512)} compare(%turn, %limit), direction=LT
}

ENTRY %main.1 (images: f32[1000,500]) -> f32[1000,500] {
  %images = f32[1000,500]{1,0:T(8,128)} parameter(0)
  %loop = (s32[]{:T(128)}, u8[9]{0}) while(%start), condition=%condition.1, body=%body.1
  %norm.1 = (f32[8]{0}, bf16[1000,500]{1,0:T(8,128)(2,1)S(1)}) fusion(%images), kind=kOutput, calls=%g, \
metadata={op_name="jit(train_step)/jvp(AlexNet)/AlexNet._operate/mul"}, backend_config={"estimated_cycles":"30000"}
  %cheap = bf16[4]{0} negate(%images)
  ROOT %pool.1 = f32[1000,500]{1,0:T(8,128)} select-and-scatter(%images, %cheap), select=%ge, scatter=%add, \
metadata={op_name="jit(train_step)/transpose(jvp(AlexNet))/AlexNet._operate/select_and_scatter"}
}
"""


class Compiled:
    def as_text(self):
        return PROGRAM

    def cost_analysis(self):
        return {"bytes accessed": 3e9}


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("tpu_cycles", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["tpu_cycles"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["tpu_cycles"]


@pytest.fixture
def found(made, monkeypatch):
    monkeypatch.setattr(made.importlib.metadata, "version", lambda name: "0.0")
    return made.estimate(Compiled())


def test_a_loop_counts_once_and_as_often_as_it_turns(found):
    assert found.cycles == pytest.approx(0.031)
    assert found.loops_run_out == pytest.approx(0.037)


def test_what_has_no_estimate_is_told_by_its_bytes(found):
    assert found.no_estimate == {"select-and-scatter": pytest.approx(0.004000008), "negate": pytest.approx(0.002000008)}


def test_operations_are_grouped_by_what_they_are_for(found):
    assert found.groups == {"normalisation": pytest.approx(0.03), "updates, copies and others": pytest.approx(0.001)}
    assert found.largest[0][0] == pytest.approx(0.03)


def test_the_page_is_made_from_the_figures_kept(made):
    assert made.PAGE.read_text() == made.page(made.kept()), f"run {SCRIPT.name} again"


def test_each_form_stands_for_functions_that_there_are(made):
    for form in made.FORMS.values():
        assert all(hasattr(made.layers, name) for name in form.layers)
        assert all(hasattr(made.augment, name) for name in form.augment)


def test_without_the_compiler_it_says_how_to_get_it(made, monkeypatch):
    monkeypatch.setattr(made.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="uv run --extra tpu"):
        made.main()


def test_an_unknown_form_is_told_from_the_known(made, monkeypatch):
    monkeypatch.setattr(made.importlib.util, "find_spec", lambda name: True)
    with pytest.raises(UsageError, match="unknown form 'plane': did you mean plain"):
        made.main(forms=("plane",))
