"""What a training set's pixels are like: arrays that travel with the train state and are not trained."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from alexnet_jax.config import DataConfig
from alexnet_jax.data.pipeline import evaluation_batches
from alexnet_jax.data.prepare.sums import STATISTICS
from alexnet_jax.data.sources import DataSet, Part, Source
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.metrics import PADDING_LABEL

# Of ImageNet's training set, RGB in 0..255, as stored with the authors' later code (cuda-convnet2, input_meta).
CHANNEL_MEANS = (127.30, 119.72, 104.91)
COMPONENT_STDDEVS = (121.780, 37.094, 19.721)
COMPONENTS = ((-0.5635, -0.5762, -0.5920), (-0.7126, -0.0235, 0.7012), (0.4180, -0.8170, 0.3973))

# Of ImageNet as torchvision's recipes have them, RGB in 0..1; and Caffe's usual mean colour, RGB in 0..255.
_TORCHVISION_MEANS, _TORCHVISION_STDDEVS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEANS = (123.0, 117.0, 104.0)

_LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601, as Pillow turns colour into grey


class Statistics(flax.struct.PyTreeNode):
    """Of all pixels of a training set, in its stored units of 0..255."""

    mean: Float[Array, "size size channels"] | Float[Array, " channels"]
    """The mean image at the stored size, or the mean colour."""
    colour_covariance: Float[Array, "channels channels"]

    @property
    def colour_stddev(self) -> Float[Array, " channels"]:
        """Standard deviation of each channel."""
        return jnp.sqrt(jnp.diag(self.colour_covariance))


def published_statistics(channels: int) -> Statistics:
    """ImageNet's mean colour and colour covariance as the authors stored them; for one channel, those of its grey.

    Raises UsageError for other numbers of channels, which have no published values.
    """
    components = np.array(COMPONENTS)
    mean, covariance = np.array(CHANNEL_MEANS), components.T @ np.diag(np.square(COMPONENT_STDDEVS)) @ components
    if channels == 1:
        luma = np.array([_LUMA])
        mean, covariance = luma @ mean, luma @ covariance @ luma.T
    elif channels != 3:
        raise UsageError(f"model.channels is {channels}: pass statistics, published ones are for 1 or 3 channels")
    return Statistics(jnp.asarray(mean, jnp.float32), jnp.asarray(covariance, jnp.float32))


def torchvision_statistics(channels: int) -> Statistics:
    """The mean and standard deviation of each channel that torchvision's recipes use, in 0..255.

    The covariance holds nothing else, so it is no source of colour noise. Raises UsageError as
    ``published_statistics``.
    """
    published_statistics(channels)
    means, stddevs = 255.0 * np.array(_TORCHVISION_MEANS), 255.0 * np.array(_TORCHVISION_STDDEVS)
    if channels == 1:
        means, stddevs = means @ np.array([_LUMA]).T, stddevs @ np.array([_LUMA]).T
    return Statistics(jnp.asarray(means, jnp.float32), jnp.asarray(np.diag(np.square(stddevs)), jnp.float32))


def caffe_statistics(mean_image: Float[np.ndarray, "size size channels"] | None) -> Statistics:
    """Caffe's mean image of a training set, RGB in 0..255, or its usual mean colour; the published covariance."""
    mean = _CAFFE_MEANS if mean_image is None else mean_image
    return Statistics(jnp.asarray(mean, jnp.float32), published_statistics(3).colour_covariance)


def training_statistics(data: DataSet, config: DataConfig, channels: int, per_pixel: bool) -> Statistics:
    """Of the training set of ``data``: those that `alexnet prepare` kept beside it, or else measured ones.

    What is kept is of all training images, those too that ``config`` holds out.
    """
    kept = _kept_statistics(data.where / STATISTICS) if config.train_split == "train" else None
    if kept is None or kept.mean.shape != (config.image_size, config.image_size, channels):
        return measure_statistics(data.train, per_pixel)
    return kept if per_pixel else kept.replace(mean=kept.mean.mean((0, 1)))


def _kept_statistics(path: Path) -> Statistics | None:
    if not path.exists():
        return None
    try:
        with np.load(path) as arrays:
            return Statistics(jnp.asarray(arrays["mean_image"]), jnp.asarray(arrays["colour_covariance"]))
    except (ValueError, KeyError, BadZipFile) as error:
        raise AlexNetError(f"{path}: damaged; remove it, or prepare the data set again") from error


def measure_statistics(source: Source, per_pixel: bool, most: int = 10_000) -> Statistics:
    """Of a training set, or of ``most`` images of it, chosen at random; ``per_pixel`` asks for the mean image."""
    chosen = np.sort(np.random.default_rng(0).permutation(len(source))[:most])
    total, products, count = np.zeros(()), np.zeros(()), 0
    for batch in evaluation_batches(Part(source, chosen), 250):
        images = batch["image"][batch["label"] != PADDING_LABEL].astype(np.float64)
        pixels = images.reshape(-1, images.shape[-1])
        total, products, count = total + images.sum(axis=0), products + pixels.T @ pixels, count + len(images)
    mean_image = total / count
    mean = mean_image.mean(axis=(0, 1))
    covariance = products / (count * mean_image.shape[0] * mean_image.shape[1]) - np.outer(mean, mean)
    return Statistics(jnp.asarray(mean_image if per_pixel else mean, jnp.float32), jnp.asarray(covariance, jnp.float32))


def principal_components(
    covariance: Float[Array, "channels channels"],
) -> tuple[Float[Array, " channels"], Float[Array, "channels channels"]]:
    """Variances along the principal components of the colours, smallest first, and the components as columns."""
    variances, components = jnp.linalg.eigh(covariance)
    return jax.nn.relu(variances), components
