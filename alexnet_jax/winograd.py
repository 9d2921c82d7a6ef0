"""Convolution with half of the multiplications, for processors whose multiplications are what takes the time.

Winograd's minimal filtering (Lavin and Gray 2016, "Fast algorithms for convolutional neural networks") along the height
alone: a tile of seven or eight rows of the images, seen as coefficients of a polynomial, becomes its values at as many
points. There one product for each point gives all the rows of the output that lie whole in the tile, instead of
``taps`` products, the height of the kernel, for each of them. The width stays an ordinary convolution, of kernels one
row high.

All of it is additions, constants and convolutions, so derivatives of any kind are Winograd's too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache, reduce
from operator import add

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from numpy.polynomial.polynomial import polyfromroots

_POINTS = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5])  # and infinity; small, so that little is lost in powers
_ROWS = (7, 8)  # of a tile
_FEWEST_SAVED = 1.25  # less than this many times fewer multiplications do not pay for the additions,
_FEWEST_MULTIPLICATIONS = 10_000_000  # nor do so few in an image for starting seven convolutions instead of one


def pays(size: tuple[int, int], kernel_shape: Sequence[int], stride: int) -> bool:
    """Whether an output of ``size``, height and width, is made faster this way on a CPU.

    ``kernel_shape`` is (window, window, channels, features).
    """
    window, taps = kernel_shape[0], -(-kernel_shape[0] // stride)
    if not 1 < taps < min(_ROWS):
        return False
    rows, tiles = _tiles(size[0], taps)
    saved = size[0] * window / (tiles * rows * stride)
    return saved >= _FEWEST_SAVED and math.prod((*size, *kernel_shape)) >= _FEWEST_MULTIPLICATIONS


def convolve(
    images: Float[Array, "batch height width channels"],
    kernel: Float[Array, "window window channels features"],
    stride: int,
    paddings: Sequence[tuple[int, int]],
) -> Float[Array, "batch out_height out_width features"]:
    """As ``lax.conv_general_dilated``, to some 1e-6 of the largest value; ``paddings`` are those of height and width.

    The kernel must be no higher than ``pays`` allows.
    """
    window, taps = kernel.shape[0], -(-kernel.shape[0] // stride)
    height = (images.shape[1] + sum(paddings[0]) - window) // stride + 1
    rows, tiles = _tiles(height, taps)
    per_tile = rows - taps + 1
    to_points, kernel_to_points, to_outputs = _matrices(rows, taps)

    images = _rows_by_stride(images, paddings[0][0], (tiles * per_tile + taps - 1) * stride, stride)
    last = (tiles - 1) * per_tile + 1
    parts = [lax.slice_in_dim(images, row, row + last, per_tile, 1) for row in range(rows)]
    kernel = _kernel_by_stride(kernel, taps, stride)
    kernels = _combine(kernel_to_points, [kernel[tap : tap + 1] for tap in range(taps)])
    products = [
        lax.conv_general_dilated(
            values, weights, (1, stride), [(0, 0), paddings[1]], dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        for values, weights in zip(_combine(to_points, parts), kernels, strict=True)
    ]
    outputs = jnp.stack(_combine(to_outputs, products), 2)
    return outputs.reshape(outputs.shape[0], -1, *outputs.shape[3:])[:, :height]


def _tiles(height: int, taps: int) -> tuple[int, int]:
    """Rows in a tile, and tiles, that make ``height`` rows of output with the fewest products."""
    sizes = [(rows, -(-height // (rows - taps + 1))) for rows in _ROWS]
    return min(sizes, key=math.prod)


def _rows_by_stride(images: Array, before: int, rows: int, stride: int) -> Array:
    """``images`` after ``before`` rows of zeros, ``rows`` in all; the rows of one stride side by side as channels."""
    batch, height, width, channels = images.shape
    padding = [(0, 0, 0), (before, rows - before - height, 0), (0, 0, 0), (0, 0, 0)]
    images = lax.pad(images, jnp.zeros((), images.dtype), padding)
    images = images.reshape(batch, rows // stride, stride, width, channels).swapaxes(2, 3)
    return images.reshape(batch, rows // stride, width, stride * channels)


def _kernel_by_stride(kernel: Array, taps: int, stride: int) -> Array:
    """As ``_rows_by_stride``."""
    window, width, channels, features = kernel.shape
    kernel = jnp.pad(kernel, [(0, taps * stride - window), (0, 0), (0, 0), (0, 0)])
    kernel = kernel.reshape(taps, stride, width, channels, features).swapaxes(1, 2)
    return kernel.reshape(taps, width, stride * channels, features)


def _combine(matrix: np.ndarray, arrays: Sequence[Array]) -> list[Array]:
    """The product of ``matrix`` with a column of ``arrays``."""
    return [
        reduce(add, [factor * array for factor, array in zip(row, arrays, strict=True) if factor])
        for row in matrix.tolist()  # whose numbers take the type of the arrays
    ]


@cache
def _matrices(rows: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From the ``rows`` of a tile, and from ``taps`` of a kernel, to points; from the products there to output rows.

    A kernel is evaluated at the points, and the images go through the transposed interpolation (Toom and Cook).
    """
    points = _POINTS[: rows - 1]
    others = [np.delete(points, index) for index in range(len(points))]
    scales = np.array([np.prod(point - rest) for point, rest in zip(points, others, strict=True)])
    from_rows = [*(np.append(polyfromroots(rest), 0.0) for rest in others), polyfromroots(points)]
    from_taps = np.vander(points, taps, increasing=True) / scales[:, None]
    to_outputs = np.vander(points, rows - taps + 1, increasing=True)
    return np.stack(from_rows), _with_infinity(from_taps), _with_infinity(to_outputs).T


def _with_infinity(powers: np.ndarray) -> np.ndarray:
    """``powers`` of the points, and of infinity, where only the highest counts."""
    return np.vstack([powers, np.eye(powers.shape[1])[-1]])
