"""What the experiments share: verdicts, the results page, and training that is not repeated."""

from __future__ import annotations

import dataclasses
import math

import pytest

from alexnet_jax.errors import UsageError
from experiments.kit import nets
from experiments.kit.experiment import Experiment
from experiments.kit.nets import digest_of
from experiments.kit.record import read_records
from experiments.kit.registry import NAMES, experiment
from experiments.kit.results_page import PAGE, results_page
from experiments.kit.run import Options, run_all
from experiments.kit.settings import baseline
from experiments.kit.verdict import Rule
from tests.experiments.short_run import short_run

RULE = Rule(more="without", less="with", counts=0.02)
ALL = [experiment(name) for name in NAMES]


def verdict(*differences, rule=RULE):
    figures = {"without": [0.5 + each for each in differences], "with": [0.5] * len(differences)}
    return rule.verdict(rule.effect(figures))


def test_the_interval_is_students():
    """For three values, t is 4.303: the textbook's 97.5% quantile with two degrees of freedom."""
    effect = RULE.effect({"without": [0.51, 0.52, 0.53], "with": [0.5, 0.5, 0.5]})
    assert effect.mean == pytest.approx(0.02)
    assert effect.high - effect.mean == pytest.approx(4.3027 * 0.01 / math.sqrt(3), rel=1e-4)
    assert effect.mean - effect.low == pytest.approx(effect.high - effect.mean)


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        ((0.030, 0.031, 0.032), "agrees"),
        ((0.018, 0.019, 0.021), "agrees"),  # the interval reaches the effect that counts
        ((0.010, 0.011, 0.012), "disagrees"),  # there is an effect, but a smaller one
        ((-0.03, -0.031, -0.032), "disagrees"),
        ((0.0, 0.03, 0.06), "inconclusive"),
    ],
)
def test_a_verdict_follows_from_the_interval(differences, expected):
    assert verdict(*differences) == expected


def test_a_ratio_is_that_of_the_geometric_means():
    rule = Rule(more="tanh", less="relu", counts=2.0, is_ratio=True)
    effect = rule.effect({"tanh": [8.0, 12.0, 18.0], "relu": [4.0, 4.0, 4.0]})
    assert effect.mean == pytest.approx(3.0)
    assert effect.low < 3.0 < effect.high
    assert rule.verdict(effect) == "agrees"


@pytest.mark.parametrize("scale", ["cpu", "full"])
def test_every_experiment_compares_other_runs(scale):
    for each in ALL:
        digests = [digest_of(config) for config in each.arms(scale).values()]
        assert len(set(digests)) == len(digests), each.name


def test_only_the_place_of_the_data_leaves_the_digest_of_a_run_as_it_is():
    config = baseline("cpu")
    moved = dataclasses.replace(config, data=dataclasses.replace(config.data, data_dir="elsewhere"))
    assert digest_of(moved) == digest_of(config)
    assert digest_of(dataclasses.replace(config, seed=1)) != digest_of(config)


def test_the_results_page_is_that_of_the_records():
    assert PAGE.read_text() == results_page(ALL, read_records()), "run `python -m experiments results`"


def test_an_unknown_experiment_is_refused():
    with pytest.raises(UsageError, match="unknown experiment 'droput': did you mean dropout"):
        experiment("droput")


def test_one_seed_is_refused(tmp_path):
    with pytest.raises(UsageError, match="--seeds is 1: use 2 or more"):
        run_all([ALL[0]], Options(seeds=1, workdir=tmp_path, records=tmp_path))


@pytest.mark.slow
def test_an_experiment_writes_a_record_and_a_plot_and_trains_no_net_twice(tmp_path, monkeypatch):
    config = short_run()
    other = dataclasses.replace(config, optimizer=dataclasses.replace(config.optimizer, learning_rate=0.02))
    tiny = Experiment(
        name="tiny",
        claim="A higher rate has a higher error",
        source="none",
        printed="none",
        authors_log="none",
        arms=lambda scale: {"high": other, "low": config},
        rule=Rule(more="high", less="low", counts=0.01),
        scale_note="",
    )
    options = Options(seeds=2, workdir=tmp_path / "runs", records=tmp_path / "records")
    run_all([tiny], options)
    records = read_records(options.records)
    record = records["tiny", "cpu"]
    assert [(run["arm"], run["seed"]) for run in record.runs] == [("high", 0), ("high", 1), ("low", 0), ("low", 1)]
    assert record.command.endswith("experiments.tiny --scale cpu --seeds 2")
    assert record.figures["low"] == [run["test_top1_error"] for run in record.runs if run["arm"] == "low"]
    assert (options.records / "tiny-cpu.png").stat().st_size > 1000
    assert "| `tiny` | A higher rate has a higher error (none) | none | none | cpu |" in results_page([tiny], records)
    monkeypatch.setattr(nets.loop, "train", lambda *arguments, **options: pytest.fail("a net was trained again"))
    run_all([tiny], options)
