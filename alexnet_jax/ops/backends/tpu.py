"""Forms for a TPU under XLA."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from alexnet_jax.config import ConvConfig, LocalResponseNorm
from alexnet_jax.ops import layers
from alexnet_jax.ops.layers import Images, divide_by_norm, inverse_power, norm_alpha, norm_base, squares

_LANES = 128  # the width of the matrix unit


def convolve(images: Images, kernel: Array, *, config: ConvConfig, groups: int) -> Array:
    """Turns the stride along a row into channels, because three channels use little of the matrix unit.

    The pixels of one stride, side by side in a row, become the channels of one block. The images are not padded: where
    the padding is not a multiple of the stride, the first window starts inside a block and the kernel gets zeros in
    front instead. Other convolutions keep their plain form.
    """
    stride, window = config.stride, config.kernel_size
    if groups > 1 or stride == 1 or images.shape[2] % stride:
        return layers.convolve(images, kernel, config=config, groups=groups)
    rows, (before, after) = layers.conv_padding(images, config)
    batch, height, width, channels = images.shape
    blocks, blocks_before = width // stride, -(-before // stride)
    front = blocks_before * stride - before
    taps = -(-(front + window) // stride)
    blocks_after = (width + before + after - window) // stride + taps - blocks - blocks_before
    kernel = jnp.pad(kernel, [(0, 0), (front, taps * stride - front - window), (0, 0), (0, 0)])
    return lax.conv_general_dilated(
        images.reshape(batch, height, blocks, stride * channels),
        kernel.reshape(window, taps, stride * channels, -1),
        (stride, 1),
        [rows, (blocks_before, blocks_after)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def local_response_norm(images: Images, *, config: LocalResponseNorm, towers: int) -> Images:
    """Computes window sums as products with a banded matrix.

    Towers that fill the matrix unit become a separate axis, which is the layout of a grouped convolution.
    """
    if images.shape[-1] % (towers * _LANES):
        return _norm_by_band(images, config, towers)
    by_tower = images.reshape(*images.shape[:-1], towers, -1)
    return _norm_by_band(by_tower, config, 1).reshape(images.shape)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _norm_by_band(images: Array, config: LocalResponseNorm, towers: int) -> Array:
    return divide_by_norm(images, config, _band_sum(squares(images), config.size, towers, images.dtype))


@_norm_by_band.defjvp
def _norm_by_band_jvp(
    config: LocalResponseNorm, towers: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    """The derivative, written so that the gradient reads the base in the dtype of the images.

    The gradient is bound by memory. Without the barrier, XLA would keep the base in float32.
    """
    (images,), (tangent,) = primals, tangents
    sums = _band_sum(squares(images), config.size, towers, images.dtype)
    base = lax.optimization_barrier(norm_base(config, sums).astype(images.dtype)).astype(jnp.float32)
    power = inverse_power(base, config.beta)
    values, value_tangents = images.astype(jnp.float32), tangent.astype(jnp.float32)
    tangent_sums = _band_sum(values * value_tangents, config.size, towers, images.dtype)
    factor = 2.0 * config.beta * norm_alpha(config)
    result_tangent = power * value_tangents - factor * values * power / base * tangent_sums
    return divide_by_norm(images, config, sums), result_tangent.astype(images.dtype)


def _band_sum(values: Array, size: int, towers: int, dtype: jnp.dtype) -> Array:
    """Sums over the neighbouring channels of the same tower: products in ``dtype``, accumulated in float32."""
    channel = np.arange(values.shape[-1])
    tower = channel // (len(channel) // towers)
    is_near = abs(channel[:, None] - channel) <= size // 2
    band = jnp.asarray(is_near & (tower[:, None] == tower), dtype)
    return jnp.matmul(values.astype(dtype), band, precision="highest", preferred_element_type=jnp.float32)


def crop(
    images: Array, offsets: Int[Array, "batch 2"], flipped: Bool[Array, " batch"], *, size: int
) -> Float[Array, "batch size size channels"]:
    """Crops with products of one-hot matrices, because XLA would turn slices at different offsets into a slow loop.

    Every product selects single pixels, so the result is exact.
    """
    # bfloat16 represents 0 to 255 exactly; other values need float32 products
    dtype, precision = (jnp.bfloat16, None) if images.dtype == jnp.uint8 else (jnp.float32, "highest")
    place = jnp.arange(size).reshape(1, -1)
    columns = jnp.where(flipped.reshape(-1, 1), place[:, ::-1], place)
    select_rows = jax.nn.one_hot(offsets[:, :1] + place, images.shape[1], dtype=dtype)
    select_columns = jax.nn.one_hot(offsets[:, 1:] + columns, images.shape[2], dtype=dtype)

    def rows_of(image: Array, select: Array) -> Array:
        return jnp.einsum("ih,hwc->iwc", select, image.astype(dtype), precision=precision)

    if images.shape[0] == 1:
        rows = jax.vmap(rows_of, (None, 0))(images[0], select_rows)
    else:
        rows = jax.vmap(rows_of)(images, select_rows)
    return jnp.einsum("bjw,biwc->bijc", select_columns, rows, precision=precision).astype(jnp.float32)
