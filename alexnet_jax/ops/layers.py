"""The operations of AlexNet, each in its plain form, as published.

Images are (batch, height, width, channels); kernels are (height, width, in, out). ``ops.backends`` holds faster forms
of some operations for a CPU or a TPU. The tests compare each of them with the function of the same name here.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from alexnet_jax.config import AveragePool, BatchNorm, ConvConfig, LocalResponseNorm, MaxPool, SpatialResponseNorm
from alexnet_jax.config.windows import window_count, window_padding

Images = Float[Array, "batch height width channels"]
PooledImages = Float[Array, "batch out_height out_width channels"]


def conv_padding(images: Images, config: ConvConfig) -> list[tuple[int, int]]:
    """Zeros (before, after) for the height and the width of ``images``."""
    return [
        window_padding(size, config.kernel_size, config.stride, config.padding, config.rounding)
        for size in images.shape[1:3]
    ]


def output_size(images: Images, config: ConvConfig) -> tuple[int, int]:
    """The height and the width of the output of a convolution of ``images``."""
    height, width = (
        window_count(size, config.kernel_size, config.stride, config.padding, config.rounding)
        for size in images.shape[1:3]
    )
    return height, width


def convolve(
    images: Images,
    kernel: Float[Array, "window window channels_per_group features"],
    *,
    config: ConvConfig,
    groups: int,
) -> Float[Array, "batch out_height out_width features"]:
    """Convolution without bias (paper, section 3.5).

    Args:
        images: the input.
        kernel: the weights of all groups; group ``g`` produces the ``g``-th block of ``features / groups`` features.
        config: stride, padding and rounding of the windows.
        groups: the number of groups. Each group reads its own block of the input channels.

    Returns:
        The feature maps.
    """
    return lax.conv_general_dilated(
        images,
        kernel,
        (config.stride, config.stride),
        conv_padding(images, config),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def convolve_locally(
    images: Images,
    kernel: Float[Array, "out_height out_width window window channels_per_group features"],
    *,
    config: ConvConfig,
    groups: int,
) -> Float[Array, "batch out_height out_width features"]:
    """A locally connected layer without bias: a convolution in which each position has its own kernel (cuda-convnet).

    Args:
        images: the input.
        kernel: the weights of each position, of all groups as in ``convolve``.
        config: stride, padding and rounding of the windows.
        groups: the number of groups.

    Returns:
        The feature maps.
    """
    rows, columns, size, _, inputs, features = kernel.shape
    padding = [(before, after, 0) for before, after in ((0, 0), *conv_padding(images, config), (0, 0))]
    padded = lax.pad(images, jnp.zeros((), images.dtype), padding)
    stride = config.stride

    def pixels(row: int, column: int) -> Array:
        """The pixel of every window at this place of the window."""
        limits = row + (rows - 1) * stride + 1, column + (columns - 1) * stride + 1
        return padded[:, row : limits[0] : stride, column : limits[1] : stride]

    windows = jnp.stack([pixels(row, column) for row in range(size) for column in range(size)], 3)
    windows = windows.reshape(*windows.shape[:-1], groups, inputs)
    kernels = kernel.reshape(rows, columns, size * size, inputs, groups, features // groups)
    sums = jnp.einsum("byxwgi,yxwigf->byxgf", windows, kernels)
    return sums.reshape(-1, rows, columns, features)


def dense(
    units: Float[Array, "batch in_of_all_groups"], kernel: Float[Array, "in out"], *, groups: int = 1
) -> Float[Array, "batch out"]:
    """The matrix product of a fully connected layer, without bias.

    Args:
        units: the inputs, those of one group after those of another.
        kernel: the weights of all groups; group ``g`` produces the ``g``-th block of ``out / groups`` units.
        groups: the number of groups. Each group reads its own block of the inputs.
    """
    return by_group(jnp.matmul, units, kernel, groups)


def by_group(operation: Callable[[Array, Array], Array], inputs: Array, kernel: Array, groups: int) -> Array:
    """Runs ``operation`` for each group on its block of the inputs and of the kernel, and concatenates the outputs.

    Args:
        operation: a function of inputs and a kernel. The last axis of its outputs has the features.
        inputs: the inputs of all groups, along the last axis.
        kernel: the weights of all groups, along the last axis.
        groups: the number of groups.
    """
    if groups == 1:
        return operation(inputs, kernel)
    blocks = zip(jnp.split(inputs, groups, -1), jnp.split(kernel, groups, -1), strict=True)
    return jnp.concatenate([operation(part, weights) for part, weights in blocks], -1)


def add_bias(sums: Float[Array, "batch *place features"], bias: Float[Array, "*place_or_none features"]) -> Array:
    """Adds one bias to each feature, or one to each feature and place."""
    return sums + bias.reshape(*[1] * (sums.ndim - bias.ndim), *bias.shape)


def local_response_norm(images: Images, *, config: LocalResponseNorm, towers: int) -> Images:
    """Divides each value by a power of the sum of squares over neighbouring channels (paper, section 3.3).

    The window is centred on the channel. Channels outside the array count as zero, and so do those of another tower.

    Args:
        images: the activations.
        config: the constants of the formula.
        towers: the number of blocks of channels that the window does not cross.
    """
    by_tower = squares(images).reshape(*images.shape[:-1], towers, -1)
    sums = window_sum(by_tower, (1, 1, 1, 1, config.size)).reshape(images.shape)
    return divide_by_norm(images, config, sums)


def local_response_norm_across_devices(images: Images, *, config: LocalResponseNorm, tower_axis: str) -> Images:
    """``local_response_norm`` across the towers, where each device along ``tower_axis`` holds one tower."""
    channels = images.shape[-1]
    neighbours = min(config.size // 2, channels)
    values = squares(images)
    below = lax.ppermute(values[..., channels - neighbours :], tower_axis, [(0, 1)])  # zeros on the first device
    above = lax.ppermute(values[..., :neighbours], tower_axis, [(1, 0)])  # zeros on the last device
    outside = config.size // 2 - neighbours
    padded = jnp.pad(jnp.concatenate([below, values, above], -1), [*[(0, 0)] * (images.ndim - 1), (outside, outside)])
    return divide_by_norm(images, config, window_sum(padded, (1, 1, 1, config.size), "VALID"))


def spatial_response_norm(images: Images, *, config: SpatialResponseNorm) -> Images:
    """Like ``local_response_norm``, over a square of pixels within each channel (``rnorm`` of layer file 145)."""
    sums = window_sum(squares(images), (1, config.size, config.size, 1))
    base = config.k + config.alpha / config.size**2 * sums
    return images * inverse_power(base, config.beta).astype(images.dtype)


def channel_statistics(images: Images) -> dict[str, Float[Array, " channels"]]:
    """The ``mean`` and the variance ``var`` of each channel, over all images and pixels.

    The variance is the mean of the squared deviations, also in moving averages. There, cuDNN and PyTorch multiply it by
    m / (m - 1) for m values. At a batch of 1,024 images this exceeds 1 by less than 1e-5.
    """
    axes = tuple(range(images.ndim - 1))
    mean = images.mean(axes)
    deviations = images - mean.reshape(1, 1, 1, -1)
    return {"mean": mean, "var": (deviations * deviations).mean(axes)}


def batch_norm(
    images: Images, mean: Float[Array, " channels"], variance: Float[Array, " channels"], *, config: BatchNorm
) -> Images:
    """Batch normalisation without scale and shift (arXiv 1502.03167, algorithm 1).

    Args:
        images: the activations.
        mean: the mean of each channel.
        variance: the variance of each channel.
        config: the constant that is added to the variance.
    """
    scale = lax.rsqrt(variance + config.epsilon)
    return (images - mean.reshape(1, 1, 1, -1)) * scale.reshape(1, 1, 1, -1)


def max_pool(images: Images, *, config: MaxPool) -> PooledImages:
    """Max-pooling (paper, section 3.4)."""
    return lax.reduce_window(images, -jnp.inf, lax.max, *_pooling_windows(images, config))


def average_pool(images: Images, *, config: AveragePool) -> PooledImages:
    """The mean over the pixels of each window that are inside the image (cuda-convnet's ``pool=avg``)."""
    windows = _pooling_windows(images, config)
    sums = lax.reduce_window(images.astype(jnp.float32), 0.0, lax.add, *windows)
    counts = lax.reduce_window(jnp.ones((1, *images.shape[1:3], 1), jnp.float32), 0.0, lax.add, *windows)
    return (sums / counts).astype(images.dtype)


def _pooling_windows(
    images: Images, config: MaxPool | AveragePool
) -> tuple[tuple[int, ...], tuple[int, ...], list[tuple[int, int]]]:
    """The window, the strides and the padding of each axis, for ``lax.reduce_window``."""
    padding = [
        # A negative padding would crop pixels that no window reads. reduce_window ignores them anyway.
        (0, max(0, window_padding(size, config.size, config.stride, 0, config.rounding)[1]))
        for size in images.shape[1:3]
    ]
    window, strides = (1, config.size, config.size, 1), (1, config.stride, config.stride, 1)
    return window, strides, [(0, 0), *padding, (0, 0)]


def dropout_mask(
    key: PRNGKeyArray, keep: Float[Array, ""] | float, shape: tuple[int, ...], towers: int, tower: Array | None
) -> Float[Array, "..."]:
    """A mask of ones with probability ``keep`` and zeros otherwise (paper, section 4.2).

    Each tower draws its own mask, so that one device and two devices use the same masks.

    Args:
        key: the random key of this layer and step.
        keep: the probability that a unit is kept.
        shape: the shape of the mask; the last axis holds units.
        towers: the number of towers.
        tower: the index of the tower that this device holds, or None for the masks of all ``towers``, concatenated.
    """

    def draw(index: Array | int, units: int) -> Array:
        return jax.random.bernoulli(jax.random.fold_in(key, index), keep, (*shape[:-1], units)).astype(jnp.float32)

    if tower is not None:
        return draw(tower, shape[-1])
    return jnp.concatenate([draw(index, shape[-1] // towers) for index in range(towers)], -1)


def squares(images: Array) -> Array:
    """The squares in float32, because sums in bfloat16 would lose values much smaller than ``k``."""
    values = images.astype(jnp.float32)
    return values * values


def window_sum(values: Array, window: tuple[int, ...], padding: str = "SAME") -> Array:
    """Sums over sliding windows with stride 1."""
    return lax.reduce_window(values, 0.0, lax.add, window, (1,) * values.ndim, padding)


def norm_base(config: LocalResponseNorm, sums: Array) -> Array:
    """``k + alpha * sums``, with alpha from ``norm_alpha``."""
    return config.k + norm_alpha(config) * sums


def norm_alpha(config: LocalResponseNorm) -> float:
    """The factor of the sum of squares: alpha, divided by the window size if ``divide_alpha``."""
    return config.alpha / config.size if config.divide_alpha else config.alpha


def divide_by_norm(images: Array, config: LocalResponseNorm, sums: Array) -> Array:
    """``images / (k + alpha * sums) ** beta``."""
    return images * inverse_power(norm_base(config, sums), config.beta).astype(images.dtype)


def inverse_power(base: Array, exponent: float) -> Array:
    """``base ** -exponent``. For 0.75, two square roots replace the general power, which is slower."""
    if exponent == 0.75:
        root = lax.rsqrt(base)
        return root * lax.sqrt(root)
    return base**-exponent
