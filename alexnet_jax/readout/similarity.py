"""Representational dissimilarity matrices, their correlation (RSA), and linear CKA."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.spatial.distance import squareform
from scipy.stats import kendalltau, spearmanr

Distance = Literal["correlation", "euclidean", "cosine"]
"""1 - Pearson's r of two images' features; their Euclidean distance; 1 - the cosine of their angle."""

_BLOCK_BYTES = 2**27


@dataclass(frozen=True)
class Products:
    """The inner products of the features of some images, from which distances and CKA follow.

    Attributes:
        inner: the products of all pairs.
        sums: the sum of each image's features.
        inputs: the number of features of an image.
    """

    inner: Float[np.ndarray, "images images"]
    sums: Float[np.ndarray, " images"]
    inputs: int


def products(features: Any, rows: np.ndarray, on_block: Callable[[int], None] = lambda done: None) -> Products:
    """The products of the images ``rows`` (sorted), in float64, from blocks of columns.

    The memory is that of the rows as they are stored, of 128 MiB for a block, and of the products.

    Args:
        features: (images, ...), an array or a dataset of an HDF5 file.
        rows: the images.
        on_block: called with the number of features of each block.
    """
    chosen = np.asarray(features[rows]).reshape(len(rows), -1)
    inner, sums = np.zeros((len(rows), len(rows))), np.zeros(len(rows))
    step = max(1, _BLOCK_BYTES // (8 * len(rows)))
    for start in range(0, chosen.shape[1], step):
        block = chosen[:, start : start + step].astype(np.float64)
        inner += block @ block.T
        sums += block.sum(1)
        on_block(block.shape[1])
    return Products(inner, sums, chosen.shape[1])


def dissimilarities(of: Products, distance: Distance = "correlation") -> Float[np.ndarray, "images images"]:
    """The representational dissimilarity matrix. It is symmetric, with zeros on the diagonal.

    Images whose features are all equal have no correlation; their distance from others is 1.
    """
    inner = of.inner
    if distance == "correlation":
        inner = inner - np.outer(of.sums, of.sums) / of.inputs
    squares = np.diag(inner)
    if distance == "euclidean":
        matrix = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * inner, 0))
    else:
        smallest = np.finfo(float).eps * np.diag(of.inner)  # what rounding leaves of a constant image
        lengths = np.sqrt(np.where(squares > smallest, squares, np.inf))
        matrix = 1 - inner / np.outer(lengths, lengths)
    matrix = (matrix + matrix.T) / 2
    np.fill_diagonal(matrix, 0)
    return matrix


def linear_cka(a: Products, b: Products) -> float:
    """Linear centred kernel alignment of two sets of features (Kornblith et al., 2019), from 0 to 1.

    Not a number if all images have the same features in one of them.
    """
    one, other = _centred(a.inner), _centred(b.inner)
    lengths = math.sqrt(np.vdot(one, one) * np.vdot(other, other))
    return float(np.vdot(one, other) / lengths) if lengths > 0 else math.nan


def _centred(inner: np.ndarray) -> np.ndarray:
    """The products of features less their mean over the images."""
    means = inner.mean(0)
    return inner - means[:, None] - means[None, :] + means.mean()


@dataclass(frozen=True)
class Similarity:
    """How similar two layers are.

    Attributes:
        spearman: Spearman's rank correlation of the distances of all pairs of images.
        kendall: Kendall's tau-b of the same.
        cka: linear CKA.
    """

    spearman: float
    kendall: float
    cka: float


@dataclass(frozen=True)
class Compared:
    """Two layers.

    Attributes:
        a: the dissimilarity matrix of one.
        b: that of the other.
        similarity: how similar they are.
    """

    a: Float[np.ndarray, "images images"]
    b: Float[np.ndarray, "images images"]
    similarity: Similarity


def compare_layers(
    a: Any,
    b: Any,
    rows: np.ndarray,
    distance: Distance = "correlation",
    on_block: Callable[[int], None] = lambda done: None,
) -> Compared:
    """Compares two layers on the same images. Numbers that are not defined, as for equal features, are NaN.

    Args:
        a: (images, ...), an array or a dataset of an HDF5 file.
        b: the same images in another layer.
        rows: the images to compare, in ascending order.
        distance: how different two images are.
        on_block: called with the number of features of an image in each block of work.
    """
    one, other = products(a, rows, on_block), products(b, rows, on_block)
    matrices = dissimilarities(one, distance), dissimilarities(other, distance)
    return Compared(*matrices, Similarity(*correlations(*matrices), linear_cka(one, other)))


def correlations(a: Float[np.ndarray, "images images"], b: Float[np.ndarray, "images images"]) -> tuple[float, float]:
    """Spearman's and Kendall's (tau-b) correlation of two dissimilarity matrices, over all pairs of images."""
    one, other = squareform(a, checks=False), squareform(b, checks=False)
    if np.ptp(one) == 0 or np.ptp(other) == 0:  # SciPy would warn
        return math.nan, math.nan
    return float(spearmanr(one, other).statistic), float(kendalltau(one, other).statistic)


def sample_rows(count: int, most: int, seed: int) -> np.ndarray:
    """All rows, or ``most`` of them at random, in order."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
