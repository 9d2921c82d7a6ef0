"""Forms for a CPU under XLA."""

from __future__ import annotations

from functools import partial, reduce

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from alexnet_jax.config import ConvConfig, MaxPool
from alexnet_jax.config.windows import window_padding
from alexnet_jax.ops import layers
from alexnet_jax.ops.backends import winograd
from alexnet_jax.ops.layers import Images, PooledImages

_MOST_CHANNELS_IN_PAIRS = 4
_MOST_IMAGES_IN_ONE_PRODUCT = 8


def convolve(images: Images, kernel: Array, *, config: ConvConfig, groups: int) -> Array:
    """Separate convolutions for the groups, because XLA has no fast grouped convolution on a CPU."""
    return layers.by_group(partial(_convolve_group, config=config), images, kernel, groups)


def _convolve_group(images: Images, kernel: Array, config: ConvConfig) -> Array:
    """Winograd convolution, where it saves enough multiplies, and Eigen's otherwise.

    XLA converts bfloat16 operands to float32 on a CPU in any case.
    """
    dtype = jnp.float32 if images.dtype == jnp.bfloat16 else images.dtype
    operands = images.astype(dtype), kernel.astype(dtype)
    if winograd.is_faster(layers.output_size(images, config), kernel.shape, config.stride):
        outputs = winograd.convolve(*operands, config.stride, layers.conv_padding(images, config))
    else:
        outputs = _convolve_directly(*operands, config)
    return outputs.astype(images.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _convolve_directly(images: Images, kernel: Array, config: ConvConfig) -> Array:
    """The plain form, with gradients in the order of axes that Eigen needs, and in pairs for few channels.

    XLA changes the order of axes of a convolution only outside loops. In the body of a ``lax.scan``, other orders run
    without Eigen, ten times slower.
    """
    if config.stride == 1 and images.shape[-1] <= _MOST_CHANNELS_IN_PAIRS:
        return _convolve_pairs(images, kernel, config)
    return layers.convolve(images, kernel, config=config, groups=1)


@_convolve_directly.defjvp
def _convolve_directly_jvp(
    config: ConvConfig, primals: tuple[Images, Array], tangents: tuple[Images, Array]
) -> tuple[Array, Array]:
    """The axes of the tangents are in the order that JAX turns into Eigen's when it transposes a convolution."""
    (images, kernel), (image_tangents, kernel_tangents) = primals, tangents
    convolve = partial(
        lax.conv_general_dilated,
        window_strides=(config.stride, config.stride),
        padding=layers.conv_padding(images, config),
    )
    of_images = convolve(image_tangents, kernel.swapaxes(2, 3), dimension_numbers=("NHWC", "HWOI", "NHWC"))
    of_kernel = convolve(
        images.transpose(3, 1, 2, 0), kernel_tangents.transpose(2, 0, 1, 3), dimension_numbers=("CHWN", "IHWO", "HWNC")
    )
    return _convolve_directly(images, kernel, config), of_images + of_kernel.transpose(2, 0, 1, 3)


def _convolve_pairs(images: Images, kernel: Array, config: ConvConfig) -> Array:
    """Computes two neighbouring pixels of a row at once, as twice the features, with stride 1.

    If there are few channels, Eigen spends most of the time gathering windows, and this form needs half as many. The
    kernel has one more column of zeros on either side, so a fifth of the multiplies of five columns is wasted, and the
    gradients would be slower.
    """
    rows, (before, after) = layers.conv_padding(images, config)
    width = layers.output_size(images, config)[1]
    pairs = jnp.concatenate([jnp.pad(kernel, [(0, 0), columns, (0, 0), (0, 0)]) for columns in ((0, 1), (1, 0))], -1)
    outputs = lax.conv_general_dilated(
        images, pairs, (1, 2), [rows, (before, after + width % 2)], dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return outputs.reshape(*outputs.shape[:2], -1, kernel.shape[-1])[:, :, :width]


@jax.custom_jvp
def add_bias(sums: Array, bias: Array) -> Array:
    """As the plain form. The gradient of the bias is a product with a vector of ones.

    XLA would sum the gradients of one feature at a time, which reads memory with a stride of all features.
    """
    return layers.add_bias(sums, bias)


@add_bias.defjvp
def _add_bias_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (sums, bias), (sum_tangents, bias_tangents) = primals, tangents
    if bias.ndim > 1:  # of each place
        return add_bias(sums, bias), layers.add_bias(sum_tangents, bias_tangents)
    ones = jnp.ones((sums.size // bias.size, 1), bias.dtype)
    return add_bias(sums, bias), sum_tangents + (ones @ bias_tangents.reshape(1, -1)).reshape(sums.shape)


def dense(units: Array, kernel: Array, *, groups: int = 1) -> Array:
    """As the plain form, with faster gradients.

    For few images, the inputs of each group are multiplied by the whole kernel, because XLA would copy the columns of
    each group. Of the products, the blocks of other groups are not used.
    """
    batch = units.shape[0]  # symbolic in exported programs
    if groups == 1 or not isinstance(batch, int) or batch > _MOST_IMAGES_IN_ONE_PRODUCT:
        return layers.by_group(_product, units, kernel, groups)
    products = jnp.split(_product(jnp.concatenate(jnp.split(units, groups, -1)), kernel), groups)
    return jnp.concatenate([jnp.split(product, groups, -1)[group] for group, product in enumerate(products)], -1)


@jax.custom_jvp
def _product(units: Array, kernel: Array) -> Array:
    """A matrix product. The gradient of the units is computed transposed, which is faster in Eigen.

    The gradient of the kernel for one image is an outer product. XLA would compute its transpose and then write the
    columns of the result.
    """
    return layers.dense(units, kernel)


@_product.defjvp
def _product_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (units, kernel), (unit_tangents, kernel_tangents) = primals, tangents
    columns = lax.optimization_barrier(unit_tangents.T)  # otherwise XLA undoes the transposition
    of_units = lax.dot_general(columns, kernel, (((0,), (0,)), ((), ())))
    if units.shape[0] == 1:
        of_kernel = (units.T * kernel_tangents).sum(0, keepdims=True)
    else:
        of_kernel = layers.dense(units, kernel_tangents)
    return _product(units, kernel), of_units + of_kernel


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
    return reduce(_larger, slices)


@jax.custom_jvp
def _larger(first: Array, second: Array) -> Array:
    """The larger value. Of two equal ones the first gets the gradient.

    ``lax.max`` divides it among both, which takes more time.
    """
    return lax.max(first, second)


@_larger.defjvp
def _larger_jvp(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (first, second), (first_tangent, second_tangent) = primals, tangents
    return _larger(first, second), lax.select(second > first, second_tangent, first_tangent)
