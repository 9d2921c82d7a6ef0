"""The mean and the colour covariance of a training set: stored beside it, or measured."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import jax.numpy as jnp
import numpy as np

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.config import DataConfig
from alexnet_jax.data.pipeline import evaluation_batches
from alexnet_jax.data.pixel_sums import STATISTICS, PixelSums, colour_products
from alexnet_jax.data.source import DataSet, Part, Source
from alexnet_jax.data.unreadable import LeaveOutUnreadable, UnreadableImages
from alexnet_jax.errors import AlexNetError
from alexnet_jax.preprocessing.statistics import Statistics


def training_statistics(
    data: DataSet, config: DataConfig, channels: int, per_pixel: bool, unreadable: UnreadableImages | None = None
) -> Statistics:
    """The statistics of the training set of ``data``.

    `alexnet prepare` stores them beside a data set. They include images that ``config`` holds out for validation.
    Without stored statistics of this image size, they are measured.

    Args:
        data: the opened data set.
        config: the config that ``data`` was opened with.
        channels: the number of channels of its images.
        per_pixel: whether the mean is an image (size, size, channels), or one number per channel.
        unreadable: as in ``measure_statistics``.

    Raises:
        AlexNetError: the stored statistics are damaged.
    """
    kept = _kept_statistics(data.where / STATISTICS) if config.train_split == "train" else None
    if kept is None or kept.mean.shape != (config.image_size, config.image_size, channels):
        return measure_statistics(data.train, per_pixel, unreadable)
    return kept if per_pixel else kept.replace(mean=kept.mean.mean((0, 1)))


def _kept_statistics(path: Path) -> Statistics | None:
    if not path.exists():
        return None
    try:
        with np.load(path) as arrays:
            return Statistics(jnp.asarray(arrays["mean_image"]), jnp.asarray(arrays["colour_covariance"]))
    except (ValueError, KeyError, BadZipFile) as error:
        raise AlexNetError(f"{path}: damaged; remove it, or prepare the data set again") from error


def measure_statistics(
    source: Source, per_pixel: bool, unreadable: UnreadableImages | None = None, most: int = 10_000
) -> Statistics:
    """Measures the statistics of ``source``, or of ``most`` random examples of it.

    Args:
        source: the training examples.
        per_pixel: whether the mean is an image (size, size, channels), or one number per channel.
        unreadable: gets the images that cannot be read, which are left out. None raises an error for the first.
        most: the largest number of examples to read.

    Raises:
        AlexNetError: too many images cannot be read.
    """
    chosen = np.sort(np.random.default_rng(0).permutation(len(source))[:most])
    size, _, channels = source.image_shape
    sums = PixelSums.zero(size, channels)
    examples: Source = Part(source, chosen)
    if unreadable is not None:
        examples = LeaveOutUnreadable(examples, unreadable)
    for batch in evaluation_batches(examples, 250):
        for image in batch["image"][batch["label"] != PADDING_LABEL]:
            sums.add_image(image, colour_products(image))
    if sums.count == 0:
        raise AlexNetError("no training image can be read; restore the data set")
    mean = sums.mean_image()
    return Statistics(
        jnp.asarray(mean if per_pixel else mean.mean(axis=(0, 1)), jnp.float32),
        jnp.asarray(sums.colour_covariance(), jnp.float32),
    )
