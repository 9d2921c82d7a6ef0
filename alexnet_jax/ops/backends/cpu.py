"""Forms for a CPU under XLA."""

from __future__ import annotations

from functools import reduce

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from alexnet_jax.config import ConvConfig, MaxPool
from alexnet_jax.config.windows import window_padding
from alexnet_jax.ops import layers
from alexnet_jax.ops.backends import winograd
from alexnet_jax.ops.layers import Images, PooledImages


def convolve(images: Images, kernel: Array, *, config: ConvConfig, groups: int) -> Array:
    """Separate convolutions for the groups, because XLA has no fast grouped convolution on a CPU."""
    pairs = zip(jnp.split(images, groups, -1), jnp.split(kernel, groups, -1), strict=True)
    parts = [_convolve_group(part, weights, config) for part, weights in pairs]
    return jnp.concatenate(parts, -1) if groups > 1 else parts[0]


def _convolve_group(images: Images, kernel: Array, config: ConvConfig) -> Array:
    """Winograd convolution, where it saves enough multiplies."""
    if not winograd.is_faster(layers.output_size(images, config), kernel.shape, config.stride):
        return layers.convolve(images, kernel, config=config, groups=1)
    # XLA converts bfloat16 operands to float32 on a CPU in any case.
    operands = images.astype(jnp.float32), kernel.astype(jnp.float32)
    return winograd.convolve(*operands, config.stride, layers.conv_padding(images, config)).astype(images.dtype)


def dense(units: Array, kernel: Array) -> Array:
    """Transposes the units first. Their gradient is then computed transposed, which is faster in Eigen."""
    return lax.dot_general(lax.optimization_barrier(units.T), kernel, (((0,), (0,)), ((), ())))


def max_pool(images: Images, *, config: MaxPool) -> PooledImages:
    """Pools rows and then columns with strided slices, in two halves of the batch.

    The concatenation forces XLA to materialise the result. Otherwise the gradient of the next layer recomputes it.
    """
    halves = jnp.split(images, [images.shape[0] // 2])
    return jnp.concatenate([_max_along(_max_along(half, 1, config), 2, config) for half in halves])


def _max_along(values: Images, axis: int, config: MaxPool) -> Array:
    """The maximum over windows along one axis, as the maximum of ``config.size`` strided slices."""
    size = values.shape[axis]
    _, after = window_padding(size, config.size, config.stride, 0, config.rounding)
    if after > 0:
        padding = [(0, 0, 0)] * values.ndim
        padding[axis] = (0, after, 0)
        values = lax.pad(values, jnp.array(-jnp.inf, values.dtype), padding)
    span = size + after - config.size + 1
    slices = (lax.slice_in_dim(values, start, start + span, config.stride, axis) for start in range(config.size))
    return reduce(lax.max, slices)
