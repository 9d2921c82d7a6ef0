"""Pixels on the device: uint8 images as stored become float crops with the mean subtracted. All pure, all jitted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt8

from alexnet_jax.config import AugmentConfig
from alexnet_jax.data.statistics import Statistics, principal_components

Stored = UInt8[Array, "batch stored stored channels"]
Crops = Float[Array, "batch size size channels"]


def training_crops(
    images: Stored,
    key: PRNGKeyArray,
    statistics: Statistics,
    config: AugmentConfig,
    size: int,
    noisy: Bool[Array, ""] | bool = True,
) -> Crops:
    """A random crop of each image, mirrored or not, in ``noisy`` colours (paper, section 4.1), minus the mean."""
    crop_key, reflect_key, colour_key = jax.random.split(key, 3)
    batch, stored = images.shape[:2]
    views = batch // config.images_per_crop
    reflected = jax.random.bernoulli(reflect_key, 0.5, (views,)) if config.reflect else jnp.zeros((views,), bool)
    mirrored = jnp.repeat(reflected, config.images_per_crop)
    if config.crop == "resized":
        crops = _mirror(_resized_crops(images, _random_parts(crop_key, batch, stored), statistics, size), mirrored)
    else:
        offsets = jax.random.randint(crop_key, (views, 2), 0, stored - size + 1)
        offsets = jnp.repeat(offsets, config.images_per_crop, 0)
        crops = _crops(images, offsets, mirrored, statistics, config, size)
    if config.colour_noise > 0:
        noise = _colour_noise(colour_key, batch, statistics, config).reshape(batch, 1, 1, -1)
        crops = jnp.where(noisy, (crops + noise) / config.colour_noise_divisor, crops)
    return _scale(crops, statistics, config)


def center_crop(images: Stored, statistics: Statistics, config: AugmentConfig, size: int) -> Crops:
    """The centre of each image, minus the mean."""
    center = (images.shape[1] - size) // 2
    return _view(images, (center, center), statistics, config, size)


def ten_crops(
    images: Stored, statistics: Statistics, config: AugmentConfig, size: int
) -> Float[Array, "views batch size size channels"]:
    """The four corners and the centre of each image, and their reflections, minus the mean (paper, section 4.1)."""
    last = images.shape[1] - size
    offsets = ((0, 0), (0, last), (last, 0), (last, last), (last // 2, last // 2))
    views = jnp.stack([_view(images, offset, statistics, config, size) for offset in offsets])
    return jnp.concatenate([views, views[:, :, :, ::-1]])


def _view(images: Stored, offset: tuple[int, int], statistics: Statistics, config: AugmentConfig, size: int) -> Crops:
    offsets, mirrored = jnp.broadcast_to(jnp.array(offset), (images.shape[0], 2)), jnp.zeros(images.shape[0], bool)
    return _scale(_crops(images, offsets, mirrored, statistics, config, size), statistics, config)


def _crops(
    images: Stored,
    offsets: Int[Array, "batch 2"],
    mirrored: Bool[Array, " batch"],
    statistics: Statistics,
    config: AugmentConfig,
    size: int,
) -> Crops:
    """Squares of ``size`` pixels whose top left corners are at ``offsets``, mirrored or not, minus the mean."""
    crops = _squares(images, offsets, mirrored, size)
    mean = statistics.mean
    if mean.ndim == 1:
        return crops - mean.reshape(1, 1, 1, -1)
    if config.mean_crop == "center":
        offsets = jnp.full_like(offsets, (mean.shape[0] - size) // 2)
    return crops - _squares(mean[None], offsets, mirrored, size)


def _squares(images: Array, offsets: Array, mirrored: Array, size: int) -> Crops:
    """Squares of ``images``: of one each, or all of a single one."""
    sliced, selected = partial(_squares_by_slices, size=size), partial(_squares_by_products, size=size)
    return lax.platform_dependent(images, offsets, mirrored, tpu=selected, default=sliced)


def _squares_by_slices(images: Array, offsets: Array, mirrored: Array, size: int) -> Crops:
    def square(image: Array, offset: Array) -> Array:
        return lax.dynamic_slice(image, (offset[0], offset[1], 0), (size, size, image.shape[-1])).astype(jnp.float32)

    return _mirror(_for_each(square, images, offsets), mirrored)


def _squares_by_products(images: Array, offsets: Array, mirrored: Array, size: int) -> Crops:
    """The same to the bit, by products with matrices that have a single 1 in each row.

    A TPU's compiler makes a loop of slices at places that differ, and copies all images in each of its turns: by its
    estimate that alone takes six times as long as the rest of the training step.
    """
    stored = images.dtype == jnp.uint8
    dtype, precision = (jnp.bfloat16, None) if stored else (jnp.float32, "highest")  # which keep each pixel as it is
    place = jnp.arange(size).reshape(1, -1)
    columns = jnp.where(mirrored.reshape(-1, 1), place[:, ::-1], place)
    select_rows = jax.nn.one_hot(offsets[:, :1] + place, images.shape[1], dtype=dtype)
    select_columns = jax.nn.one_hot(offsets[:, 1:] + columns, images.shape[2], dtype=dtype)

    def square(image: Array, rows: Array) -> Array:
        return jnp.einsum("ih,hwc->iwc", rows, image.astype(dtype), precision=precision)

    some_rows = _for_each(square, images, select_rows)
    squares = jnp.einsum("bjw,biwc->bijc", select_columns, some_rows, precision=precision)
    return squares.astype(jnp.float32)


def _for_each(function: Callable[[Array, Array], Array], images: Array, what: Array) -> Array:
    """Of each of ``images``, or of a single one, and each of ``what``."""
    if images.shape[0] != 1:
        return jax.vmap(function)(images, what)
    return jax.vmap(function, (None, 0))(images[0], what)


def _mirror(crops: Crops, mirrored: Bool[Array, " batch"]) -> Crops:
    return jnp.where(mirrored.reshape(-1, 1, 1, 1), crops[:, :, ::-1], crops)


_SHARES = (0.08, 1.0)  # of the image's area
_LOG_RATIOS = (math.log(3 / 4), math.log(4 / 3))  # of width to height
_TRIES = 10


def _random_parts(key: PRNGKeyArray, batch: int, stored: int) -> Float[Array, "batch 4"]:
    """Top, left, height and width in whole pixels of a part of each image, drawn as torchvision's RandomResizedCrop.

    The first of ten draws that fits into the image counts, or else the whole image.
    """
    share_key, ratio_key, place_key = jax.random.split(key, 3)
    area = stored**2 * jax.random.uniform(share_key, (batch, _TRIES), jnp.float32, *_SHARES)
    ratio = jnp.exp(jax.random.uniform(ratio_key, (batch, _TRIES), jnp.float32, *_LOG_RATIOS))
    sides = jnp.round(jnp.sqrt(jnp.stack([area / ratio, area * ratio], -1)))
    fits = jnp.all((sides > 0) & (sides <= stored), -1)
    first = jnp.take_along_axis(sides, jnp.argmax(fits, -1).reshape(batch, 1, 1), 1)[:, 0]
    sides = jnp.where(fits.any(-1).reshape(batch, 1), first, float(stored))
    corners = jnp.floor(jax.random.uniform(place_key, (batch, 2), jnp.float32) * (stored - sides + 1.0))
    return jnp.concatenate([corners, sides], -1)


def _resized_crops(images: Stored, parts: Float[Array, "batch 4"], statistics: Statistics, size: int) -> Crops:
    """The ``parts`` of the images, minus the mean there, resized to ``size`` with antialiased linear interpolation."""
    mean = statistics.mean if statistics.mean.ndim == 3 else statistics.mean.reshape(1, 1, -1)

    def resize(image: Array, part: Array) -> Array:
        corner, scale = part[:2], size / part[2:]
        shape = (size, size, image.shape[-1])
        pixels = image.astype(jnp.float32) - mean
        return jax.image.scale_and_translate(pixels, shape, (0, 1), scale, -corner * scale, "linear")

    return jax.vmap(resize)(images, parts)


def _scale(crops: Crops, statistics: Statistics, config: AugmentConfig) -> Crops:
    if not config.divide_by_stddev:
        return crops
    return crops / statistics.colour_stddev.reshape(1, 1, 1, -1)


def _colour_noise(
    key: PRNGKeyArray, batch: int, statistics: Statistics, config: AugmentConfig
) -> Float[Array, "batch channels"]:
    """One random colour for each image, along the principal components of the training set's colours."""
    variances, components = principal_components(statistics.colour_covariance)
    # variances of pixels in 0..1, brought back to 0..255, are those of pixels in 0..255 divided by 255
    lengths = variances / 255.0 if config.colour_noise_scale == "eigenvalue" else jnp.sqrt(variances)
    alphas = config.colour_noise * jax.random.normal(key, (batch, variances.shape[0]), jnp.float32)
    return (alphas * lengths.reshape(1, -1)) @ components.T
