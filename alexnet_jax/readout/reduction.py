"""Dimensionality reduction of features: sparse random projection, and principal components of a sample."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh
from scipy.sparse import csr_array

from alexnet_jax.config.checks import check
from alexnet_jax.errors import UsageError

Reduce = Callable[[np.ndarray], np.ndarray]
"""Maps features (batch, ...) to (batch, numbers)."""

PCA_IMAGES = 2000
"""Components are those of at most this many images, evenly spaced over the data."""
MOST_COMPONENT_BYTES = 2**30
"""The largest size of the components of all layers together."""


@dataclass(frozen=True)
class Reduction:
    """How the features of a layer are reduced. Layers with at most ``size`` numbers keep them."""

    spatial_mean: bool = False
    pca: int | None = None
    random_projection: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("pca", "random_projection"):
            value = getattr(self, name)
            check(value is None or value > 0, f"--{name}", value, "use a number above 0")
        if self.pca is not None and self.random_projection is not None:
            raise UsageError(f"--pca is {self.pca} and --random_projection {self.random_projection}: use one of them")
        check(0 <= self.seed < 2**32, "--seed", self.seed, "use 0 to 4294967295")

    @property
    def size(self) -> int | None:
        """The numbers that a larger layer is reduced to, or None."""
        return self.pca or self.random_projection

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the reduced features of one image, from the ``shape`` of its features."""
        return shape if self.size is None or math.prod(shape) <= self.size else (self.size,)

    def reduced(self, shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
        """The names of the layers among ``shapes`` that a projection or PCA reduces."""
        return [name for name, shape in shapes.items() if self.shape(shape) != shape]


def random_projection(layer: str, shape: tuple[int, ...], size: int, seed: int) -> Reduce:
    """A very sparse random projection: of ``n`` inputs, each output adds or subtracts about ``sqrt(n)``.

    Scaled so that squared distances keep their expected values (Li, Hastie and Church, "Very sparse random
    projections", 2006). It needs ``8 * size * sqrt(n)`` bytes.

    Args:
        layer: the name of the layer. Each layer has its own projection.
        shape: the shape of one image's features.
        size: the number of outputs.
        seed: the random seed.
    """
    inputs = math.prod(shape)
    density = 1 / math.sqrt(inputs)
    rng = np.random.default_rng([seed, zlib.crc32(layer.encode())])
    counts = rng.binomial(inputs, density, size)
    columns = np.concatenate([np.sort(rng.choice(inputs, count, replace=False)) for count in counts])
    signs = rng.choice(np.array([-1, 1], np.float32), len(columns))
    values = signs * np.float32(1 / math.sqrt(density * size))
    rows = csr_array((values, columns, np.concatenate([[0], np.cumsum(counts)])), shape=(size, inputs))
    return lambda x: np.ascontiguousarray((rows @ x.reshape(len(x), -1).T).T)


@dataclass(frozen=True)
class Components:
    """Principal components of a layer.

    Attributes:
        mean: the mean of the sample.
        components: unit vectors, in the order of the variance along them.
        variance: the variance of the sample along each.
        explained: their fraction of the whole variance.
    """

    mean: Float[np.ndarray, " inputs"]
    components: Float[np.ndarray, "inputs size"]
    variance: Float[np.ndarray, " size"]
    explained: float

    def __call__(self, x: Float[np.ndarray, "batch ..."]) -> Float[np.ndarray, "batch size"]:
        """The coordinates of features along the components."""
        return (x.reshape(len(x), -1) - self.mean) @ self.components


def principal_components(sample: Any, size: int) -> Components:
    """The exact principal components of a sample, from the products of its images.

    It needs ``8 * images**2`` bytes for the products, ``4 * size`` bytes for each input, and 8 bytes for each number in
    one row of pixels of all images.

    Args:
        sample: (images, ...), an array, or a dataset of an HDF5 file, which is read twice.
        size: the number of components, less than the number of images.
    """
    count = len(sample)
    products, parts = np.zeros((count, count)), []
    for block in _centred_blocks(sample):
        products += block.values @ block.values.T
    variances, vectors = eigh(products, subset_by_index=(count - size, count - 1))
    variances, vectors = np.maximum(variances[::-1], 0), vectors[:, ::-1]
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(0), np.arange(size)])
    scale = np.sqrt(np.maximum(variances, np.finfo(float).eps * max(np.trace(products), 1e-300)))
    means = []
    for block in _centred_blocks(sample):
        parts.append((block.values.T @ (vectors / scale)).astype(np.float32))
        means.append(block.mean.astype(np.float32))
    total = max(float(np.trace(products)), 1e-300)
    return Components(
        np.concatenate(means),
        np.concatenate(parts),
        (variances / (count - 1)).astype(np.float32),
        float(variances.sum() / total),
    )


@dataclass(frozen=True)
class _Block:
    values: Float[np.ndarray, "images columns"]
    mean: Float[np.ndarray, " columns"]


def _centred_blocks(sample: Any) -> Iterator[_Block]:
    """The columns of (images, ...) in order, float64, less their means: a row of pixels or 4,096 units at a time."""
    step = 1 if sample.ndim == 4 else 4096
    for start in range(0, sample.shape[1], step):
        values = np.asarray(sample[:, start : start + step], np.float64).reshape(len(sample), -1)
        mean = values.mean(0)
        values -= mean
        yield _Block(values, mean)


def check_components(reduction: Reduction, shapes: Mapping[str, tuple[int, ...]], images: int) -> None:
    """Checks that ``reduction.pca`` components can be computed.

    Args:
        reduction: how to reduce.
        shapes: the shape of one image's features in each layer.
        images: the number of images in the data.

    Raises:
        UsageError: the data have too few images, or the components need too much memory.
    """
    if reduction.pca is None:
        return
    sample = min(images, PCA_IMAGES)
    remedy = f"use at most {sample - 1}, one less than the {sample:,} images that the components are computed from"
    check(reduction.pca < sample, "--pca", reduction.pca, remedy)
    values = sum(math.prod(shapes[name]) for name in reduction.reduced(shapes))
    most = MOST_COMPONENT_BYTES // (4 * max(values, 1))
    remedy = f"the components of these layers would need more than 1 GiB; use at most {most}, --spatial_mean, "
    check(reduction.pca <= most, "--pca", reduction.pca, remedy + "--random_projection or fewer layers")
