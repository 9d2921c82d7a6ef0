"""The mean and the colour covariance of a training set: published values and principal components."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from alexnet_jax.errors import UsageError

# ImageNet's training set, RGB in 0..255, from the authors' later code (cuda-convnet2, make-data/input_meta).
CHANNEL_MEANS = (127.30, 119.72, 104.91)
COMPONENT_STDDEVS = (121.780, 37.094, 19.721)
COMPONENTS = ((-0.5635, -0.5762, -0.5920), (-0.7126, -0.0235, 0.7012), (0.4180, -0.8170, 0.3973))

# ImageNet in torchvision's recipes, RGB in 0..1, and Caffe's usual channel means, RGB in 0..255.
_TORCHVISION_MEANS, _TORCHVISION_STDDEVS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_CAFFE_MEANS = (123.0, 117.0, 104.0)

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, which Pillow uses to convert colour to grey

_SMALLEST_VARIANCE = 1e-6  # less is rounding: one pixel in a million that differs by 1 gives as much


class Statistics(flax.struct.PyTreeNode):
    """The statistics of a training set, in units of stored pixels, 0 to 255.

    Attributes:
        mean: the mean image (size, size, channels) at the stored size, or the mean of each channel (channels,).
        colour_covariance: the covariance (channels, channels) of the colours of all pixels.
    """

    mean: Float[Array, "size size channels"] | Float[Array, " channels"]
    colour_covariance: Float[Array, "channels channels"]

    @property
    def colour_stddev(self) -> Float[Array, " channels"]:
        """The standard deviation of each channel, or 1 for a channel that is constant."""
        variances = jnp.diag(self.colour_covariance)
        return jnp.sqrt(jnp.where(variances < _SMALLEST_VARIANCE, 1.0, variances))

    @property
    def constant_channels(self) -> tuple[int, ...]:
        """The channels that have the same value in all pixels of all images."""
        variances = np.diag(self.colour_covariance)
        return tuple(int(channel) for channel in np.flatnonzero(variances < _SMALLEST_VARIANCE))


def published_statistics(channels: int) -> Statistics:
    """ImageNet's channel means and colour covariance as the authors stored them, converted to grey for one channel.

    Raises:
        UsageError: ``channels`` is neither 1 nor 3.
    """
    components = np.array(COMPONENTS)
    mean, covariance = np.array(CHANNEL_MEANS), components.T @ np.diag(np.square(COMPONENT_STDDEVS)) @ components
    if channels == 1:
        luma = np.array([_LUMA])
        mean, covariance = luma @ mean, luma @ covariance @ luma.T
    elif channels != 3:
        raise UsageError(f"model.channels is {channels}: pass statistics, published ones exist for 1 or 3 channels")
    return _statistics(mean, covariance)


def torchvision_statistics(channels: int) -> Statistics:
    """The channel means and standard deviations of torchvision's recipes, in 0..255.

    The covariance is diagonal, so colour noise cannot use it.

    Raises:
        UsageError: ``channels`` is neither 1 nor 3.
    """
    published_statistics(channels)
    means, stddevs = 255.0 * np.array(_TORCHVISION_MEANS), 255.0 * np.array(_TORCHVISION_STDDEVS)
    if channels == 1:
        means, stddevs = means @ np.array([_LUMA]).T, stddevs @ np.array([_LUMA]).T
    return _statistics(means, np.diag(np.square(stddevs)))


def caffe_statistics(mean_image: Float[np.ndarray, "size size channels"] | None) -> Statistics:
    """Caffe's mean image (RGB in 0..255) or, for None, its usual channel means; with the published covariance."""
    mean = np.array(_CAFFE_MEANS) if mean_image is None else mean_image
    return _statistics(mean, np.asarray(published_statistics(3).colour_covariance))


def _statistics(mean: np.ndarray, covariance: np.ndarray) -> Statistics:
    """Of NumPy arrays, so that reading weights does not start JAX's backend."""
    return Statistics(mean.astype(np.float32), covariance.astype(np.float32))  # type: ignore[arg-type]


def principal_components(
    covariance: Float[Array, "channels channels"],
) -> tuple[Float[Array, " channels"], Float[Array, "channels channels"]]:
    """The variances along the principal components, in ascending order, and the components as columns."""
    variances, components = jnp.linalg.eigh(covariance)
    return jax.nn.relu(variances), components
