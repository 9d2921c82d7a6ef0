import json

import pytest

from alexnet_jax.bench.studies import backend_forms as script
from alexnet_jax.errors import UsageError
from alexnet_jax.ops.backends import FORMS


def test_pairs_alternate_after_a_first_run_of_both():
    order = []

    def contender(name, seconds):
        def run():
            order.append(name)
            return seconds

        return run

    assert script.alternate(contender("form", 1.0), contender("plain", 2.0), 2) == ([1.0, 1.0], [2.0, 2.0])
    assert order == ["form", "plain", "form", "plain", "plain", "form"]


def test_range_leaves_out_the_smallest_and_the_largest_quotient():
    machine = {
        "processor": "CPU",
        "cores": 2,
        "load": 0.1,
        "last_load": 0.2,
        "jax": "1",
        "python": "3",
        "date": "today",
    }
    gain = {"operation": "max_pool", "net": "paper", "work": "train, batch 32", "seconds": [1.0] * 5}
    figures = {"machine": machine, "gains": [gain | {"plain_seconds": [9.0, 1.1, 0.1, 1.2, 1.3]}]}
    page = script.page(figures, json.loads(script.TPU_FIGURES.read_text()))
    assert "| max_pool | paper | train, batch 32 | 5 | 1000 | 1.200 | 1.100 to 1.300 | yes |" in page.splitlines()


@pytest.mark.parametrize(
    ("quotients", "verdict"),
    [([0.9, 1.1, 1.2, 1.3, 1.4], "yes"), ([0.5, 0.9, 1.1, 1.2, 1.3], "open"), ([0.9, 1.0, 1.01, 1.02, 2.0], "no")],
)
def test_form_wins_only_if_the_range_is_above_one(quotients, verdict):
    assert script.Gain("max_pool", "paper", "train", [1.0] * 5, quotients).verdict == verdict


def test_page_matches_the_stored_figures_of_every_cpu_form():
    figures = json.loads(script.FIGURES.read_text())
    assert script.PAGE.read_text() == script.page(figures, json.loads(script.TPU_FIGURES.read_text()))
    operations = {operation.__name__ for operation, forms in FORMS.items() if "cpu" in forms}
    assert {gain["operation"] for gain in figures["gains"]} == operations


def test_too_few_pairs_are_refused():
    with pytest.raises(UsageError, match="pairs is 2: use at least 4"):
        script.main(pairs=2)
