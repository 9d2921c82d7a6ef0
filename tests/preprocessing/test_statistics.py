import numpy as np

from alexnet_jax.preprocessing.statistics import Statistics


def test_channels_without_variance_are_constant_and_are_divided_by_one():
    statistics = Statistics(np.zeros(3, np.float32), np.diag(np.array([4, 0, 1e-12], np.float32)))
    assert statistics.constant_channels == (1, 2)
    np.testing.assert_array_equal(statistics.colour_stddev, [2, 1, 1])
