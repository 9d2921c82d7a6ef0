"""Training and test views of stored images: crops, flips, colour noise, normalisation (paper, sections 2, 4.1)."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped, UInt8

from alexnet_jax.batch import check_images
from alexnet_jax.config import AugmentConfig, TrainConfig, Views
from alexnet_jax.errors import UsageError
from alexnet_jax.ops import backends
from alexnet_jax.ops.crops import Crops, crop, flip
from alexnet_jax.preprocessing.statistics import Statistics, principal_components

StoredImages = UInt8[Array, "batch height width channels"]

# torchvision's RandomResizedCrop
_AREA_FRACTIONS = (0.08, 1.0)
_LOG_RATIOS = (math.log(3 / 4), math.log(4 / 3))  # width to height
_TRIES = 10

VIEW_COUNTS: dict[Views, int] = {"center": 1, "center-flip": 2, "ten-crop": 10}
"""The number of crops of each image."""


def preprocess(images: Shaped[Array | np.ndarray, "..."], statistics: Statistics, config: TrainConfig) -> Crops:
    """Prepares stored images for the net, exactly as evaluation does.

    Takes the centre crop and subtracts the mean. If the config requires it, divides by the standard deviation, and
    multiplies by ``augment.pixel_scale``.

    Args:
        images: uint8 RGB images, square or not. A mean image needs images of its own size, ``config.data.image_size``.
        statistics: those of the run or of the weights (``load_run``, ``load_weights``).
        config: the run. ``augment`` and ``model.image_size`` choose the preprocessing.

    Returns:
        float32 (batch, size, size, channels), where size is ``config.model.image_size``.

    Raises:
        UsageError: ``images`` have another shape or dtype.
    """
    images, statistics = jnp.asarray(images), jax.tree.map(jnp.asarray, statistics)
    check_stored_images(images, statistics, config)
    return center_crop(images, statistics, config.augment, config.model.image_size)


def check_stored_images(images: Array, statistics: Statistics, config: TrainConfig) -> None:
    """Checks the shapes and dtypes of stored images and of the mean that is subtracted from their crops.

    Raises:
        UsageError: ``images`` are not uint8 (batch, height, width, channels), or the mean does not fit them.
    """
    mean, size = statistics.mean.shape, config.model.image_size
    check_images(images, config.model.channels, size)
    if mean[-1] != config.model.channels:
        raise UsageError(
            f"statistics.mean has shape {mean}: use {config.model.channels} channels, as in model.channels"
        )
    if len(mean) == 3 and mean != images.shape[1:] and (config.augment.mean_crop == "same" or min(mean[:2]) < size):
        remedy = "use images of that size, or the mean of each channel"
        raise UsageError(f"images have shape {images.shape}, and the mean image {mean}: {remedy}")


@jax.named_scope("training_crops")
def training_crops(
    images: StoredImages,
    key: PRNGKeyArray,
    statistics: Statistics,
    config: AugmentConfig,
    size: int,
    is_noisy: Bool[Array, ""] | bool = True,
    colour_noise: Float[Array, ""] | float | None = None,
) -> Crops:
    """Random training views of the images (paper, section 4.1).

    Args:
        images: the stored images.
        key: the random key of the step.
        statistics: those of the training set.
        config: which augmentations to apply.
        size: the side of the crops in pixels.
        is_noisy: whether colour noise is on at this step.
        colour_noise: replaces ``config.pca_colour_noise`` if that is above 0.

    Returns:
        Crops in float32, normalised.

    Raises:
        UsageError: ``config.images_per_crop`` does not divide the number of images.
    """
    crop_key, flip_key, colour_key = jax.random.split(key, 3)
    batch, height, width, _ = images.shape
    if batch % config.images_per_crop:
        remedy = f"use a multiple of augment.images_per_crop, {config.images_per_crop}"
        raise UsageError(f"images have shape {images.shape}: {remedy}")
    views = batch // config.images_per_crop
    flipped = _flips(flip_key, batch, config)
    if config.random_crop == "resize":
        boxes = _random_boxes(crop_key, batch, height, width)
        crops = flip(_resized_crops(images, boxes, statistics, size), flipped)
    else:
        offsets = _offsets(crop_key, views, (height - size, width - size), config)
        offsets = jnp.repeat(offsets, config.images_per_crop, 0)
        crops = _centred_crops(images, offsets, flipped, statistics, config, size)
    if config.pca_colour_noise > 0:
        stddev = config.pca_colour_noise if colour_noise is None else colour_noise
        noise = _pca_colour_noise(colour_key, batch, statistics, config, stddev).reshape(batch, 1, 1, -1)
        crops = jnp.where(is_noisy, (crops + noise) / config.pca_colour_noise_divisor, crops)
    return _scale(crops, statistics, config)


def random_flips(key: PRNGKeyArray, batch: int, config: AugmentConfig) -> Bool[Array, " batch"]:
    """Which images ``training_crops`` flips with this random key of the step."""
    return _flips(jax.random.split(key, 3)[1], batch, config)


def _flips(key: PRNGKeyArray, batch: int, config: AugmentConfig) -> Bool[Array, " batch"]:
    views = batch // config.images_per_crop
    flips = jax.random.bernoulli(key, 0.5, (views,)) if config.horizontal_flip else jnp.zeros((views,), bool)
    return jnp.repeat(flips, config.images_per_crop)


def center_crop(images: StoredImages, statistics: Statistics, config: AugmentConfig, size: int) -> Crops:
    """The centre of each image, normalised."""
    return _view(images, _center(images.shape[1:3], size), statistics, config, size)


def evaluation_crops(
    images: StoredImages, statistics: Statistics, config: AugmentConfig, size: int, views: Views
) -> Float[Array, "views batch size size channels"]:
    """The crops that ``views`` names, normalised: those of the images, then their reflections."""
    last_row, last_column = images.shape[1] - size, images.shape[2] - size
    corners = ((0, 0), (0, last_column), (last_row, 0), (last_row, last_column))
    center = _center(images.shape[1:3], size)
    offsets = (*corners, center) if views == "ten-crop" else (center,)
    places = [(offset, flip) for flip in (False, True) for offset in offsets][: VIEW_COUNTS[views]]
    return jnp.stack([_view(images, offset, statistics, config, size, flip) for offset, flip in places])


def _offsets(key: PRNGKeyArray, views: int, margins: tuple[int, int], config: AugmentConfig) -> Int[Array, "views 2"]:
    """The top left corners of training crops, in pixels, from the pixels (rows, columns) outside a crop."""
    limits = jnp.array([margins])
    if config.random_crop == "center":
        return jnp.repeat(limits // 2, views, 0)
    return jax.random.randint(key, (views, 2), 0, limits + 1)


def _center(shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """The top left corner of the square of side ``size`` at the centre of (height, width)."""
    return (shape[0] - size) // 2, (shape[1] - size) // 2


def _view(
    images: StoredImages,
    offset: tuple[int, int],
    statistics: Statistics,
    config: AugmentConfig,
    size: int,
    flip: bool = False,
) -> Crops:
    offsets, flipped = jnp.broadcast_to(jnp.array(offset), (images.shape[0], 2)), jnp.full(images.shape[0], flip)
    crops = _centred_crops(images, offsets, flipped, statistics, config, size)
    return _scale(crops, statistics, config)


def _centred_crops(
    images: StoredImages,
    offsets: Int[Array, "batch 2"],
    flipped: Bool[Array, " batch"],
    statistics: Statistics,
    config: AugmentConfig,
    size: int,
) -> Crops:
    """Crops minus the mean."""
    crops = backends.run(crop, images, offsets, flipped, size=size)
    mean = statistics.mean
    if mean.ndim == 1:
        return crops - mean.reshape(1, 1, 1, -1)
    if config.mean_crop == "center":
        row, column = _center(mean.shape, size)
        return crops - mean[None, row : row + size, column : column + size]
    return crops - backends.run(crop, mean[None], offsets, flipped, size=size)


def _random_boxes(key: PRNGKeyArray, batch: int, height: int, width: int) -> Float[Array, "batch 4"]:
    """Top, left, height and width in whole pixels of a box in each image, as in torchvision's RandomResizedCrop.

    The box is the first of ten draws that fits into the image. If none fits, it is the largest box at the centre with
    an allowed ratio of its sides.
    """
    area_key, ratio_key, place_key = jax.random.split(key, 3)
    area = height * width * jax.random.uniform(area_key, (batch, _TRIES), jnp.float32, *_AREA_FRACTIONS)
    ratio = jnp.exp(jax.random.uniform(ratio_key, (batch, _TRIES), jnp.float32, *_LOG_RATIOS))
    sides = jnp.round(jnp.sqrt(jnp.stack([area / ratio, area * ratio], -1)))
    whole = jnp.array([[height, width]], jnp.float32)
    fits = jnp.all((sides > 0) & (sides <= whole[None]), -1)
    first = jnp.take_along_axis(sides, jnp.argmax(fits, -1).reshape(batch, 1, 1), 1)[:, 0]
    any_fits = fits.any(-1).reshape(batch, 1)
    least, most = (math.exp(log_ratio) for log_ratio in _LOG_RATIOS)
    largest = jnp.array([[min(height, round(width / least)), min(width, round(height * most))]], jnp.float32)
    sides = jnp.where(any_fits, first, largest)
    places = jax.random.uniform(place_key, (batch, 2), jnp.float32) * (whole - sides + 1.0)
    corners = jnp.where(any_fits, jnp.floor(places), jnp.floor((whole - largest) / 2.0))
    return jnp.concatenate([corners, sides], -1)


def _resized_crops(images: StoredImages, boxes: Float[Array, "batch 4"], statistics: Statistics, size: int) -> Crops:
    """Subtracts the mean, and resizes the boxes of the images with antialiased linear interpolation."""
    mean = statistics.mean if statistics.mean.ndim == 3 else statistics.mean.reshape(1, 1, -1)

    def resize(image: Array, box: Array) -> Array:
        corner, scale = box[:2], size / box[2:]
        shape = (size, size, image.shape[-1])
        pixels = image.astype(jnp.float32) - mean
        return jax.image.scale_and_translate(pixels, shape, (0, 1), scale, -corner * scale, "linear")

    return jax.vmap(resize)(images, boxes)


def _scale(crops: Crops, statistics: Statistics, config: AugmentConfig) -> Crops:
    if config.divide_by_stddev:
        crops = crops / statistics.colour_stddev.reshape(1, 1, 1, -1)
    return crops if config.pixel_scale == 1 else crops * config.pixel_scale


def _pca_colour_noise(
    key: PRNGKeyArray, batch: int, statistics: Statistics, config: AugmentConfig, stddev: Float[Array, ""] | float
) -> Float[Array, "batch channels"]:
    """One random colour per image, along the principal components of the training set's colours."""
    variances, components = principal_components(statistics.colour_covariance)
    # The variance of pixels in 0..1, scaled back to 0..255, is the variance of pixels in 0..255 divided by 255.
    lengths = variances / 255.0 if config.pca_colour_noise_scale == "eigenvalue" else jnp.sqrt(variances)
    # jax.random.normal with all factors in one place, where XLA moves them if they are constants: the same bits if
    # ``stddev`` is traced
    uniform = jax.random.uniform(key, (batch, variances.shape[0]), jnp.float32, np.nextafter(np.float32(-1), 0), 1)
    stddevs = lengths * (stddev * np.float32(np.sqrt(2)))
    return (lax.erf_inv(uniform) * stddevs.reshape(1, -1)) @ components.T
