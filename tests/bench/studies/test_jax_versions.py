"""The statistics of the comparison of JAX versions."""

import pytest

from alexnet_jax.bench.studies import jax_versions


@pytest.mark.parametrize(("count", "interval"), [(12, (3, 10)), (40, (14, 27)), (1, (1, 1))])
def test_the_interval_of_the_median_has_the_ranks_of_the_binomial_distribution(count, interval):
    ranks = [float(rank) for rank in range(1, count + 1)]
    assert jax_versions.median_interval(ranks) == interval


def test_a_row_has_the_median_of_the_ratios_of_pairs():
    row = jax_versions.row("paper", "train", "", firsts=[1.0, 2.0, 10.0], seconds=[2.0, 3.0, 10.0])
    assert row == "| paper, batch 64 | train | nothing | 2000 | 3000 | 1.500 | 1.000 - 2.000 |"
