"""Nearest neighbours by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from alexnet_jax.readout.nearest import nearest


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_nearest_are_those_of_all_distances(batch):
    rng = np.random.default_rng(0)
    data, queries = rng.normal(size=(61, 2, 2, 3)).astype(np.float32), rng.normal(size=(5, 2, 2, 3)).astype(np.float32)
    done = []
    found = nearest(queries, (data[start : start + batch] for start in range(0, 61, batch)), 6, done.append)
    distances = cdist(queries.reshape(5, -1).astype(float), data.reshape(61, -1).astype(float))
    np.testing.assert_array_equal(found.rows, np.argsort(distances, 1)[:, :6])
    np.testing.assert_allclose(found.distances, np.sort(distances, 1)[:, :6], rtol=1e-12)
    assert done[-1] == 61


def test_near_neighbours_keep_their_digits_and_equal_ones_their_order():
    data = np.full((4, 3), 1e4, np.float32)
    data[0, 0] += 0.01
    found = nearest(np.full((1, 3), 1e4, np.float32), [data[:2], data[2:]], 10)
    assert found.rows.tolist() == [[1, 2, 3, 0]]
    assert found.distances[0, 3] == pytest.approx(float(data[0, 0]) - 1e4)
