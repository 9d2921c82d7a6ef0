"""What AlexNet does to images between its parameters, as pure functions of arrays.

Images are (batch, height, width, channels); kernels are (height, width, in, out).
"""

from __future__ import annotations

from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from alexnet_jax import winograd
from alexnet_jax.config import ConvConfig, LocalResponseNorm, MaxPool, SpatialResponseNorm
from alexnet_jax.windows import window_count, window_padding

Images = Float[Array, "batch height width channels"]


def convolve(
    images: Images, kernel: Float[Array, "window window channels_read features"], config: ConvConfig, groups: int
) -> Float[Array, "batch out_height out_width features"]:
    """Convolution without bias, with the window rule of ``config``; each group reads its own share of the channels.

    On a CPU the groups are separate convolutions, since one grouped convolution takes about three times as long there.
    On a TPU they would be 28.6 million estimated cycles a step of ``paper``, not 24.2. A stride becomes channels there,
    or else they are 24.9 (experiments/results/tpu_cycles.md).
    """
    apart, at_once = (partial(form, config=config, groups=groups) for form in (_convolve_apart, _convolve_at_once))
    whole_blocks = groups == 1 and config.stride > 1 and images.shape[2] % config.stride == 0
    in_blocks = partial(_convolve_in_blocks, config=config) if whole_blocks else at_once
    return lax.platform_dependent(images, kernel, cpu=apart, tpu=in_blocks, default=at_once)


def _paddings(images: Images, config: ConvConfig) -> list[tuple[int, int]]:
    return [
        window_padding(size, config.kernel_size, config.stride, config.padding, config.rounding)
        for size in images.shape[1:3]
    ]


def _convolve_at_once(images: Images, kernel: Array, config: ConvConfig, groups: int) -> Array:
    strides = (config.stride, config.stride)
    return _convolution(images, kernel, strides, _paddings(images, config), groups)


def _convolution(
    images: Images, kernel: Array, strides: tuple[int, int], paddings: list[tuple[int, int]], groups: int = 1
) -> Array:
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
        images, kernel, strides, paddings, dimension_numbers=dimensions, feature_group_count=groups
    )


def _convolve_in_blocks(images: Images, kernel: Array, config: ConvConfig) -> Array:
    """The same for a TPU: the pixels of one stride, side by side in a row, become the channels of one block.

    A TPU's matrix unit is far wider than three channels. No image is padded for it: the first window starts inside a
    block where the padding is no multiple of the stride, and the kernel gets zeros in front for the rest.
    """
    stride, window = config.stride, config.kernel_size
    rows, (before, after) = _paddings(images, config)
    batch, height, width, channels = images.shape
    blocks, ahead = width // stride, -(-before // stride)
    front = ahead * stride - before
    taps = -(-(front + window) // stride)
    behind = (width + before + after - window) // stride + taps - blocks - ahead
    kernel = jnp.pad(kernel, [(0, 0), (front, taps * stride - front - window), (0, 0), (0, 0)])
    kernel = kernel.reshape(window, taps, stride * channels, -1)
    images = images.reshape(batch, height, blocks, stride * channels)
    return _convolution(images, kernel, (stride, 1), [rows, (ahead, behind)])


def _convolve_apart(images: Images, kernel: Array, config: ConvConfig, groups: int) -> Array:
    pairs = zip(jnp.split(images, groups, -1), jnp.split(kernel, groups, -1), strict=True)
    parts = [_convolve_one(part, weights, config) for part, weights in pairs]
    return jnp.concatenate(parts, -1) if groups > 1 else parts[0]


def _convolve_one(images: Images, kernel: Array, config: ConvConfig) -> Array:
    """By Winograd's way if that saves enough multiplications, which are what takes a CPU's time."""
    paddings = _paddings(images, config)
    height, width = (
        window_count(side, config.kernel_size, config.stride, config.padding, config.rounding)
        for side in images.shape[1:3]
    )
    if not winograd.pays((height, width), kernel.shape, config.stride):
        return _convolve_at_once(images, kernel, config, groups=1)
    wide = images.astype(jnp.float32), kernel.astype(jnp.float32)  # as XLA does too: it has no narrower ones
    return winograd.convolve(*wide, config.stride, paddings).astype(images.dtype)


def dense(units: Float[Array, "batch in"], kernel: Float[Array, "in out"]) -> Float[Array, "batch out"]:
    """The product of a fully-connected layer, without bias.

    On a CPU the units are transposed first. Their gradient then comes transposed too, and Eigen makes that in less than
    half of the time.
    """

    def transposed(units: Array, kernel: Array) -> Array:
        return lax.dot_general(lax.optimization_barrier(units.T), kernel, (((0,), (0,)), ((), ())))

    return lax.platform_dependent(units, kernel, cpu=transposed, default=jnp.matmul)


def add_bias(sums: Float[Array, "batch *place features"], bias: Float[Array, " features"]) -> Array:
    """Adds to each feature its bias.

    On a CPU by way of one image of biases, so that their gradient is summed over the batch first: XLA takes a quarter
    of the time for that, which it takes for the sum over all places at once.
    """

    def at_once(sums: Array, bias: Array) -> Array:
        return sums + bias.reshape(*[1] * (sums.ndim - 1), -1)

    def as_image(sums: Array, bias: Array) -> Array:
        return sums + lax.optimization_barrier(jnp.broadcast_to(bias, (1, *sums.shape[1:])))

    return lax.platform_dependent(sums, bias, cpu=as_image, default=at_once)


def _inverse_power(base: Array, exponent: float) -> Array:
    """``base ** -exponent``; for AlexNet's 0.75 from square roots, which cost a fraction of a general power."""
    if exponent == 0.75:
        root = lax.rsqrt(base)
        return root * lax.sqrt(root)
    return base**-exponent


def _window_sum(values: Array, window: tuple[int, ...], padding: str = "SAME") -> Array:
    return lax.reduce_window(values, 0.0, lax.add, window, (1,) * values.ndim, padding)


def local_response_norm(
    images: Images, config: LocalResponseNorm, towers: int = 1, tower_axis: str | None = None
) -> Images:
    """Divides each value by a power of the sum of squares over neighbouring channels (paper, section 3.3).

    Channels outside the array count as zero. Those in another of its ``towers`` do too, or in that of another device
    along ``tower_axis``, unless ``config.across_towers``.

    On a TPU the sums are products with a banded matrix: for a step of ``paper`` with 256 images in bfloat16 its
    compiler then estimates 24.2 million cycles, and 31.5 for windows (experiments/results/tpu_cycles.md).
    """
    if config.across_towers and tower_axis is not None:
        wider = _with_neighbours(_squares(images), config.size // 2, tower_axis)
        return _divide(images, config, _window_sum(wider, (1, 1, 1, config.size), "VALID"))
    towers = 1 if config.across_towers else towers
    by_window, by_product = (
        partial(form, config=config, towers=towers) for form in (_norm_by_window, _norm_by_product)
    )
    return lax.platform_dependent(images, tpu=by_product, default=by_window)


def _norm_by_window(images: Images, config: LocalResponseNorm, towers: int) -> Images:
    by_tower = _squares(images).reshape(*images.shape[:-1], towers, -1)
    sums = _window_sum(by_tower, (1, 1, 1, 1, config.size)).reshape(images.shape)
    return _divide(images, config, sums)


def _divide(images: Array, config: LocalResponseNorm, sums: Array) -> Array:
    return images * _inverse_power(_base(config, sums), config.beta).astype(images.dtype)


def _base(config: LocalResponseNorm, sums: Array) -> Array:
    return config.k + _alpha(config) * sums


def _alpha(config: LocalResponseNorm) -> float:
    return config.alpha / config.size if config.divide_alpha else config.alpha


_LANES = 128  # of a TPU's matrix unit


def _norm_by_product(images: Images, config: LocalResponseNorm, towers: int) -> Images:
    """The same for a TPU, its sums as products, where towers that fill the matrix unit are an axis of their own.

    A grouped convolution gives them so. Joined, they are laid out anew: 27.0 million estimated cycles a step, not 24.2.
    """
    if images.shape[-1] % (towers * _LANES):
        return _norm_by_band(images, config, towers)
    by_tower = images.reshape(*images.shape[:-1], towers, -1)
    return _norm_by_band(by_tower, config, 1).reshape(images.shape)


@partial(jax.custom_jvp, nondiff_argnums=(1, 2))
def _norm_by_band(images: Array, config: LocalResponseNorm, towers: int) -> Array:
    return _divide(images, config, _band_sum(_squares(images), config.size, towers, images.dtype))


@_norm_by_band.defjvp
def _norm_by_band_tangent(
    config: LocalResponseNorm, towers: int, primals: tuple[Array], tangents: tuple[Array]
) -> tuple[Array, Array]:
    """Written out for the gradient, which is bound by what it reads: the base is kept for it in the images' type.

    The barrier stops XLA from keeping it in float32, as it does on its own: 25.4 million estimated cycles, not 24.2.
    """
    (images,), (changes,) = primals, tangents
    base = _base(config, _band_sum(_squares(images), config.size, towers, images.dtype))
    value = images * _inverse_power(base, config.beta).astype(images.dtype)
    base = lax.optimization_barrier(base.astype(images.dtype)).astype(jnp.float32)
    power = _inverse_power(base, config.beta)
    wide, wide_changes = images.astype(jnp.float32), changes.astype(jnp.float32)
    sums = _band_sum(wide * wide_changes, config.size, towers, images.dtype)
    factor = 2.0 * config.beta * _alpha(config)
    return value, (power * wide_changes - factor * wide * power / base * sums).astype(images.dtype)


def _band_sum(values: Array, size: int, towers: int, dtype: jnp.dtype) -> Array:
    """Sums in float32 of ``values``, taken as ``dtype``, over neighbours in a tower: products with a band of ones."""
    channel = np.arange(values.shape[-1])
    tower = channel // (len(channel) // towers)
    near = abs(channel[:, None] - channel) <= size // 2
    band = jnp.asarray(near & (tower[:, None] == tower), dtype)
    return jnp.matmul(values.astype(dtype), band, precision="highest", preferred_element_type=jnp.float32)


def _squares(images: Array) -> Array:
    """In float32 whatever the images are: sums of bfloat16 lose what is small beside ``k``."""
    wide = images.astype(jnp.float32)
    return wide * wide


def _with_neighbours(channels: Array, count: int, tower_axis: str) -> Array:
    """The channels of this device's tower between the nearest ``count`` of the other and zeros, as its place asks."""
    below = lax.ppermute(channels[..., -count:], tower_axis, [(0, 1)])  # zeros where nothing is sent
    above = lax.ppermute(channels[..., :count], tower_axis, [(1, 0)])
    return jnp.concatenate([below, channels, above], -1)


def spatial_response_norm(images: Images, config: SpatialResponseNorm) -> Images:
    """As ``local_response_norm``, but over a square of pixels within each channel (``rnorm`` of layer file 145)."""
    sums = _window_sum(_squares(images), (1, config.size, config.size, 1))
    return images * _inverse_power(config.k + config.alpha / config.size**2 * sums, config.beta).astype(images.dtype)


def _max_along(values: Images, axis: int, config: MaxPool) -> Array:
    """Maximum over windows along one axis, as the maximum of ``config.size`` strided slices."""
    size = values.shape[axis]
    count = window_count(size, config.size, config.stride, 0, config.rounding)
    reach = (count - 1) * config.stride + config.size
    if reach > size:
        padding = [(0, 0, 0)] * values.ndim
        padding[axis] = (0, reach - size, 0)
        values = lax.pad(values, jnp.array(-jnp.inf, values.dtype), padding)
    span = (count - 1) * config.stride + 1
    slices = (lax.slice_in_dim(values, start, start + span, config.stride, axis) for start in range(config.size))
    return reduce(lax.max, slices)


def max_pool(images: Images, config: MaxPool) -> Float[Array, "batch out_height out_width channels"]:
    """Max-pooling (paper, section 3.4); on a CPU columns and then rows.

    A CPU takes a quarter of the time for the gradient of that form that it takes for ``reduce_window``'s; on a TPU it
    would be 37.1 million estimated cycles a step, not 24.2.
    """
    in_halves, at_once = partial(_max_pool_in_halves, config=config), partial(_max_pool_at_once, config=config)
    return lax.platform_dependent(images, cpu=in_halves, default=at_once)


def _max_pool_at_once(images: Images, config: MaxPool) -> Array:
    counts = [window_count(size, config.size, config.stride, 0, config.rounding) for size in images.shape[1:3]]
    reaches = [(count - 1) * config.stride + config.size for count in counts]
    paddings = [(0, max(reach - size, 0)) for reach, size in zip(reaches, images.shape[1:3], strict=True)]
    window, strides = (1, config.size, config.size, 1), (1, config.stride, config.stride, 1)
    return lax.reduce_window(images, -jnp.inf, lax.max, window, strides, [(0, 0), *paddings, (0, 0)])


def _max_pool(images: Images, config: MaxPool) -> Array:
    return _max_along(_max_along(images, 1, config), 2, config)


def _max_pool_in_halves(images: Images, config: MaxPool) -> Array:
    """The same, half of the images after the other.

    Joining them makes XLA write the result down. Otherwise what reads it may compute it again, in another order of
    axes: the next layer's gradient, which takes a tenth of the whole step to do so.
    """
    halves = jnp.split(images, [images.shape[0] // 2])
    return jnp.concatenate([_max_pool(half, config) for half in halves])


def dropout_mask(
    key: PRNGKeyArray, keep: float, shape: tuple[int, ...], towers: int, tower: Array | None
) -> Float[Array, "..."]:
    """Ones with probability ``keep``, else zeros, of ``shape``, whose last axis holds units.

    Each tower draws its own mask: ``tower`` names the one that this device holds, and None draws those of all
    ``towers`` side by side, so that one device and two see the same masks.
    """

    def draw(index: Array | int, units: int) -> Array:
        return jax.random.bernoulli(jax.random.fold_in(key, index), keep, (*shape[:-1], units)).astype(jnp.float32)

    if tower is not None:
        return draw(tower, shape[-1])
    return jnp.concatenate([draw(index, shape[-1] // towers) for index in range(towers)], -1)
