import itertools

import pytest

from alexnet_jax.bench.studies.goodput import Times, exponential, periodic, simulate

TIMES = Times(step=1.0, save=0.5, copy=0.1, latency=4.0, restart=10.0, restore=2.0)


def test_a_run_that_is_not_killed_loses_only_its_start_and_the_saves():
    assert simulate(TIMES, 10, iter([1e6, 1.0]), hours=1.0) == pytest.approx(10 / 10.5, rel=1e-3)


def test_steps_after_the_last_complete_checkpoint_are_taken_again():
    """After 10 s of start: saved at 20 and 30.5, complete at 24 and 34.5. Two processes of 34 s keep 10 steps each."""
    assert simulate(TIMES, 10, periodic(34.0), hours=34.1 / 3600) == pytest.approx(20 / 68)
    assert simulate(TIMES, 10, periodic(35.0), hours=35.1 / 3600) == pytest.approx(40 / 70)


def test_a_checkpoint_waits_for_the_one_before():
    """Every second, but one is written in four: one of four steps is kept, and the others wait."""
    assert simulate(TIMES, 1, iter([1e6, 1.0]), hours=1.0) == pytest.approx(1 / 4, rel=1e-3)


def test_a_run_that_is_killed_before_its_first_step_makes_no_progress():
    assert simulate(TIMES, 1, periodic(9.0), hours=1.0) == 0
    assert simulate(TIMES, 1, periodic(20.0), hours=1.0, delay=20.0) == 0


@pytest.mark.parametrize(("kills", "spread"), [(exponential, 590), (periodic, 0)])
def test_kills_come_at_the_given_rate(kills, spread):
    times = list(itertools.islice(kills(600.0), 1000))
    assert sum(times) / 1000 == pytest.approx(600, rel=0.1)
    assert max(times) - min(times) >= spread
