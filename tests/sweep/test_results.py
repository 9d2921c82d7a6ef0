"""Means and spreads of a sweep, and its file."""

import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.sweep.plot import draw_sweep
from alexnet_jax.sweep.results import RunResult, diverged, mean_and_spread, read_results, summarize, write_results
from alexnet_jax.sweep.settings import swept_runs

RUNS = swept_runs(["--epochs", "1,2"], range(2))


def result(run, top1_error, validation=None):
    return RunResult(run.name, dict(run.setting.values), run.seed, run.arguments, "finished", top1_error, validation)


RESULTS = {
    RUNS[0].name: result(RUNS[0], 0.2, 0.3),
    RUNS[1].name: result(RUNS[1], 0.4, 0.5),
    RUNS[2].name: diverged(RUNS[2]),
    RUNS[3].name: result(RUNS[3], 0.1),
}


def test_runs_are_grouped_by_setting():
    first, second = summarize(RUNS, RESULTS)
    assert (first.top1_errors, first.validation_top1_errors, first.diverged) == ((0.2, 0.4), (0.3, 0.5), 0)
    assert (second.top1_errors, second.validation_top1_errors, second.diverged) == ((0.1,), (), 1)


def test_the_spread_is_that_of_a_sample():
    assert mean_and_spread([0.2, 0.4]) == "30.00% ± 14.14"
    assert mean_and_spread([0.125]) == "12.50%"
    assert mean_and_spread([]) == "-"


def test_results_are_read_as_written(tmp_path):
    file = tmp_path / "sweep.json"
    assert read_results(file) == {}
    write_results(file, RESULTS)
    assert read_results(file) == RESULTS


@pytest.mark.parametrize("text", ["", "[3]", '[{"run": "a"}]', "{}x"])
def test_a_damaged_file_is_refused(tmp_path, text):
    file = tmp_path / "sweep.json"
    file.write_text(text)
    with pytest.raises(AlexNetError, match="cannot be read as the results of a sweep; remove it"):
        read_results(file)


def test_a_sweep_is_drawn(tmp_path):
    draw_sweep(summarize(RUNS, RESULTS), tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
