"""Winograd convolution along the height, for CPUs, where multiplies dominate the time of a convolution.

The method is Lavin and Gray's (2016, "Fast algorithms for convolutional neural networks"), applied to the height only.
The rows of a tile, seven or eight, are the coefficients of a polynomial. It is evaluated at one point per row, and one
product per point yields all output rows of the tile. A plain convolution needs one product per output row and kernel
row. The width remains an ordinary convolution with kernels of height one.

The code consists of slices, additions and convolutions, so JAX differentiates it in both modes and to any order.
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

_POINTS = np.array([0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5])  # and infinity; small points keep rounding errors small
_TILE_ROWS = (7, 8)
_MIN_SAVING = 1.25  # a smaller ratio of multiplies does not pay for the additions
_MIN_MULTIPLIES = 10_000_000  # for one image; a smaller convolution does not pay for starting seven or eight of them


def is_faster(size: tuple[int, int], kernel_shape: Sequence[int], stride: int) -> bool:
    """Whether Winograd convolution is expected to be faster on a CPU.

    Args:
        size: height and width of the output.
        kernel_shape: (window, window, channels, features).
        stride: the stride of the convolution.
    """
    window, taps = kernel_shape[0], -(-kernel_shape[0] // stride)
    if not 1 < taps < min(_TILE_ROWS):
        return False
    rows, tiles = _tiles(size[0], taps)
    saving = size[0] * window / (tiles * rows * stride)
    return saving >= _MIN_SAVING and math.prod((*size, *kernel_shape)) >= _MIN_MULTIPLIES


def convolve(
    images: Float[Array, "batch height width channels"],
    kernel: Float[Array, "window window channels features"],
    stride: int,
    paddings: Sequence[tuple[int, int]],
) -> Float[Array, "batch out_height out_width features"]:
    """The convolution that ``lax.conv_general_dilated`` computes, to about 1e-6 of the largest value.

    Args:
        images: the input.
        kernel: the weights. ``is_faster`` limits the height of the kernel.
        stride: the stride in both directions.
        paddings: zeros (before, after) for the height and the width.
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
    """The rows of a tile and the number of tiles that produce ``height`` output rows with the fewest products."""
    sizes = [(rows, -(-height // (rows - taps + 1))) for rows in _TILE_ROWS]
    return min(sizes, key=math.prod)


def _rows_by_stride(images: Array, before: int, rows: int, stride: int) -> Array:
    """Pads ``images`` to ``rows`` rows, ``before`` of them in front, and turns the rows of one stride into channels."""
    batch, height, width, channels = images.shape
    padding = [(0, 0, 0), (before, rows - before - height, 0), (0, 0, 0), (0, 0, 0)]
    images = lax.pad(images, jnp.zeros((), images.dtype), padding)
    images = images.reshape(batch, rows // stride, stride, width, channels).swapaxes(2, 3)
    return images.reshape(batch, rows // stride, width, stride * channels)


def _kernel_by_stride(kernel: Array, taps: int, stride: int) -> Array:
    """Rearranges a kernel as ``_rows_by_stride`` rearranges images."""
    window, width, channels, features = kernel.shape
    kernel = jnp.pad(kernel, [(0, taps * stride - window), (0, 0), (0, 0), (0, 0)])
    kernel = kernel.reshape(taps, stride, width, channels, features).swapaxes(1, 2)
    return kernel.reshape(taps, width, stride * channels, features)


def _combine(matrix: np.ndarray, arrays: Sequence[Array]) -> list[Array]:
    """The product of ``matrix`` with a column of ``arrays``."""
    return [
        reduce(add, [factor * array for factor, array in zip(row, arrays, strict=True) if factor])
        for row in matrix.tolist()  # Python floats take the dtype of the arrays
    ]


@cache
def _matrices(rows: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices from tile rows to points, from kernel rows to points, and from products to output rows.

    The kernel is evaluated at the points, and the images go through the transposed interpolation (Toom and Cook).
    """
    points = _POINTS[: rows - 1]
    others = [np.delete(points, index) for index in range(len(points))]
    scales = np.array([np.prod(point - rest) for point, rest in zip(points, others, strict=True)])
    from_rows = [*(np.append(polyfromroots(rest), 0.0) for rest in others), polyfromroots(points)]
    from_taps = np.vander(points, taps, increasing=True) / scales[:, None]
    to_outputs = np.vander(points, rows - taps + 1, increasing=True)
    return np.stack(from_rows), _with_infinity(from_taps), _with_infinity(to_outputs).T


def _with_infinity(powers: np.ndarray) -> np.ndarray:
    """Appends the row of the point at infinity, where only the highest power counts."""
    return np.vstack([powers, np.eye(powers.shape[1])[-1]])
