"""Numbers that follow from timings."""

from __future__ import annotations

from alexnet_jax.bench.report import Report
from alexnet_jax.bench.timing import Task, Timing


def test_a_peer_is_compared_by_its_fastest_form_round_by_round():
    ours, eager, compiled = (
        Task("alexnet_jax", "", "train", 0),
        Task("torch", "eager", "train", 0),
        Task("torch", "compiled", "train", 0),
    )
    timings = {
        ours: Timing((1.0, 9.0, 2.0)),
        eager: Timing((4.0, 36.0, 8.0)),
        compiled: Timing((2.0, 27.0, 2.0)),
    }
    report = Report({}, 4, "float32", 1, {}, {"torch": ""}, timings)
    assert report.fastest("torch", "train") == compiled
    assert report.ratio(compiled) == 2.0
    assert report.fastest("torch", "forward") is None
