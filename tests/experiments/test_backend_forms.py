import importlib.util
import json
import sys
from pathlib import Path

import pytest

from alexnet_jax.errors import UsageError

SCRIPT = Path(__file__).parents[2] / "experiments" / "backend_forms.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("backend_forms", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["backend_forms"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["backend_forms"]


def test_pairs_alternate_after_a_first_run_of_both(script):
    order = []

    def contender(name, seconds):
        def run():
            order.append(name)
            return seconds

        return run

    assert script.alternate(contender("form", 1.0), contender("plain", 2.0), 2) == ([1.0, 1.0], [2.0, 2.0])
    assert order == ["form", "plain", "form", "plain", "plain", "form"]


def test_range_leaves_out_the_smallest_and_the_largest_quotient(script):
    machine = {"processor": "CPU", "cores": 2, "load": 0.1, "jax": "1", "python": "3", "date": "today"}
    gain = {"operation": "max_pool", "net": "paper", "work": "train, batch 32", "seconds": [1.0] * 5}
    figures = {"machine": machine, "gains": [gain | {"plain_seconds": [9.0, 1.1, 0.1, 1.2, 1.3]}]}
    page = script.page(figures, json.loads(script.TPU_FIGURES.read_text()))
    assert "| max_pool | paper | train, batch 32 | 5 | 1000 | 1.200 | 1.100 to 1.300 |" in page.splitlines()


def test_too_few_pairs_are_refused(script):
    with pytest.raises(UsageError, match="pairs is 2: use at least 4"):
        script.main(pairs=2)
