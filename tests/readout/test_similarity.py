"""Dissimilarity matrices, RSA and CKA, against rsatoolbox, SciPy and the formula."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from alexnet_jax.readout import similarity
from alexnet_jax.readout.similarity import (
    compare_layers,
    correlations,
    dissimilarities,
    linear_cka,
    products,
    sample_rows,
)
from tests.helpers.references import REFERENCES


@pytest.fixture(scope="module")
def reference():
    with np.load(REFERENCES / "rsatoolbox" / "similarity.npz") as arrays:
        return dict(arrays)


def test_matrices_and_their_correlations_are_those_of_rsatoolbox(reference):
    rows = np.arange(12)
    for name in ("a", "b"):
        of = products(reference[name], rows)
        np.testing.assert_allclose(dissimilarities(of), reference[f"{name}/correlation"], rtol=1e-6, atol=1e-9)
        squares = dissimilarities(of, "euclidean") ** 2 / of.inputs  # rsatoolbox has the mean square
        np.testing.assert_allclose(squares, reference[f"{name}/euclidean"], rtol=1e-6, atol=1e-9)
    found = correlations(reference["a/correlation"], reference["b/correlation"])
    np.testing.assert_allclose(found, [reference["spearman"].item(), reference["tau-b"].item()], rtol=1e-9)


@pytest.mark.parametrize("distance", ["correlation", "euclidean", "cosine"])
def test_distances_are_those_of_scipy_and_need_no_whole_layer(distance, monkeypatch):
    monkeypatch.setattr(similarity, "_BLOCK_BYTES", 8 * 9 * 7)  # seven columns at a time
    features = np.maximum(np.random.default_rng(1).normal(size=(20, 3, 3, 5)), 0).astype(np.float32)
    rows = sample_rows(20, 9, seed=3)
    expected = squareform(pdist(features[rows].reshape(9, -1).astype(np.float64), distance))
    np.testing.assert_allclose(dissimilarities(products(features, rows), distance), expected, rtol=1e-9, atol=1e-9)


def test_linear_cka_is_the_formula_and_is_blind_to_rotation_and_scale():
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(15, 6)).astype(np.float32), rng.normal(size=(15, 4)).astype(np.float32)
    rows = np.arange(15)
    x, y = (each - each.mean(0) for each in (a.astype(float), b.astype(float)))
    expected = np.sum((y.T @ x) ** 2) / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    assert linear_cka(products(a, rows), products(b, rows)) == pytest.approx(expected, rel=1e-9)
    turned = (a @ np.linalg.qr(rng.normal(size=(6, 6)))[0] * 3 + 1).astype(np.float32)
    assert linear_cka(products(a, rows), products(turned, rows)) == pytest.approx(1, abs=1e-5)


def test_equal_features_have_no_similarity_and_constant_images_no_correlation():
    same, other = np.ones((4, 5), np.float32), np.arange(20, dtype=np.float32).reshape(4, 5) ** 2
    found = compare_layers(same, other, np.arange(4)).similarity
    assert all(map(math.isnan, (found.spearman, found.kendall, found.cka)))
    other[1] = 7.3
    assert (dissimilarities(products(other, np.arange(4)))[1] == [1, 0, 1, 1]).all()


def test_a_dataset_of_a_file_is_read_at_the_sampled_rows(tmp_path):
    features = np.random.default_rng(4).normal(size=(50, 8)).astype(np.float32)
    rows = sample_rows(50, 10, seed=0)
    assert (len(rows), len(set(rows))) == (10, 10)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("fc6", data=features)
        np.testing.assert_array_equal(products(dataset, rows).inner, products(features, rows).inner)
