"""Alternating runs of contenders."""

from __future__ import annotations

from alexnet_jax.bench.timing import TURN, Task, alternate


def test_contenders_alternate_and_the_first_round_does_not_count():
    order = []

    def contender(name, seconds):
        def run():
            order.append(name)
            return seconds[order.count(name) - 1]

        return run

    first, second = (Task(name, "", "forward", 0) for name in "ab")
    timings = alternate({first: contender("a", [9, 3, 1, 2]), second: contender("b", [9, 5, 5, 4])}, 3)
    assert "".join(order) == "abababab"
    assert timings[first].seconds == (3, 1, 2)
    assert [(timing.low, timing.median, timing.high) for timing in timings.values()] == [(1, 2, 3), (4, 5, 5)]


def test_short_work_is_repeated_in_its_turn_and_the_first_run_does_not_count():
    task, runs = Task("a", "", "forward", 0), []

    def run():
        runs.append(TURN / 2 if len(runs) % 4 == 0 else TURN / 8 * (len(runs) % 4))
        return runs[-1]

    timings = alternate({task: run}, 2)
    assert len(runs) == 12  # 1/2, 1/8, 2/8 and 3/8 of a turn, in three turns
    assert timings[task].seconds == (TURN / 4, TURN / 4)
