"""Alternating measurement of pipelines."""

from __future__ import annotations

from alexnet_jax.bench.throughput import Measurement, Pipeline, Throughput, measure_alternately
from alexnet_jax.errors import AlexNetError


def test_pipelines_alternate_and_medians_are_reported():
    order = []

    def run(name, speeds):
        def measure():
            order.append(name)
            speed = speeds[order.count(name) - 1]
            return Throughput(speed, speed / 2)

        return measure

    pipelines = [Pipeline("a", "jpeg", 1, run("a", [1, 9, 2])), Pipeline("b", "raw", 2, run("b", [6, 4, 5]))]
    measurements = measure_alternately(pipelines, 3)
    assert order == ["a", "b", "a", "b", "a", "b"]
    assert measurements == [
        Measurement("a", "jpeg", 1, Throughput(2, 1)),
        Measurement("b", "raw", 2, Throughput(5, 2.5)),
    ]


def test_a_failing_pipeline_is_reported_and_not_run_again():
    calls = []

    def fail():
        calls.append("fail")
        raise AlexNetError("no memory")

    pipelines = [Pipeline("a", "jpeg", 1, fail), Pipeline("b", "jpeg", 1, lambda: Throughput(3, 3))]
    assert measure_alternately(pipelines, 2) == [
        Measurement("a", "jpeg", 1, None, "no memory"),
        Measurement("b", "jpeg", 1, Throughput(3, 3)),
    ]
    assert calls == ["fail"]
