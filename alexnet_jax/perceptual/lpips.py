"""LPIPS, the perceptual distance of two images (Zhang et al. 2018), on torchvision's AlexNet."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, UInt8

from alexnet_jax.net.model import AlexNet
from alexnet_jax.perceptual.checks import check_convolutions, check_pair, check_value_range
from alexnet_jax.perceptual.heads import load_heads
from alexnet_jax.variants import variant

NET = "torchvision"
"""The variant whose features are compared."""

LAYERS = ("relu1", "relu2", "relu3", "relu4", "relu5")
"""The layers whose outputs are compared."""

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of RGB values in [-1, 1], v0.1
_EPSILON = 1e-10  # is added to the norm of a pixel's features

Features = Float[Array, "batch rows columns channels"]

Images = Float[Array | np.ndarray, "batch height width 3"] | UInt8[Array | np.ndarray, "batch height width 3"]
"""A batch of images."""


def lpips(
    params: PyTree,
    images_a: Images,
    images_b: Images,
    *,
    value_range: tuple[int | float, int | float] = (0, 1),
    heads: str | None = "v0.1",
    spatial: bool = False,
) -> Float[Array, " batch"] | Float[Array, "batch height width"]:
    """The perceptual distance of each image of one batch from the image at the same place of another.

    0 for identical images. The features of every layer after its ReLU are normalised to unit length at each pixel. The
    squared differences are weighted by channel, summed over the channels, averaged over the pixels and summed over the
    five layers.

    A pure function, compiled once for each shape of images, that works under ``jit``, ``vmap`` and ``grad``. Its
    gradients are finite, also where two images are identical, and where all features of a pixel are 0.

    Source: Zhang, Isola, Efros, Shechtman and Wang 2018, "The Unreasonable Effectiveness of Deep Features as a
    Perceptual Metric" (arXiv 1801.03924), with the authors' heads, version 0.1.

    Args:
        params: the parameters of torchvision's AlexNet, ``conv1`` to ``conv5`` at least, such as those of
            ``pretrained("torchvision_features")``.
        images_a: RGB images (batch, height, width, 3), 32 x 32 pixels or larger: floats in ``value_range``, or uint8.
            They are not resized.
        images_b: images of the same shape.
        value_range: the values of black and white in float images. uint8 images have 0 and 255.
        heads: the version of the weights of the channels, which were fitted to people's judgments: ``v0.1``. None
            weights all channels by 1, the uncalibrated distance.
        spatial: whether to return a map for each pair of images instead of its mean over the pixels: the distance at
            each pixel, with the layers scaled up bilinearly.

    Returns:
        The distances (batch,), or the maps (batch, height, width) if ``spatial``. float32.

    Raises:
        UsageError: the images have different shapes, a wrong shape or dtype, or are too small; the parameters are of
            another net; there are no such heads; or an image has values outside ``value_range``. Values can be checked
            outside ``jit``, ``vmap`` and ``grad`` only.
    """
    model = variant(NET)
    black, white = check_value_range(value_range)
    check_convolutions(params, model)
    check_pair(images_a, images_b, black, white)
    weights = None if heads is None else load_heads(heads)
    convolutions = {f"conv{number}": params[f"conv{number}"] for number in range(1, len(model.convs) + 1)}
    return _lpips(convolutions, weights, images_a, images_b, (black, white), bool(spatial))


# Inlined, because XLA on a CPU arranges kernels for Eigen's fast convolution only outside of called functions, and the
# gradient needs that.
@partial(jax.jit, static_argnames=("value_range", "spatial"), inline=True)
def _lpips(
    params: PyTree,
    heads: Mapping[str, Float[Array, " channels"]] | None,
    images_a: Images,
    images_b: Images,
    value_range: tuple[float, float],
    spatial: bool,
) -> Array:
    net = AlexNet(variant(NET), last_layer=LAYERS[-1])
    features_a, features_b = (
        net.apply({"params": params}, _net_input(images, value_range), mutable="intermediates")[1]["intermediates"]
        for images in (images_a, images_b)
    )
    total = jnp.zeros((), jnp.float32)
    for layer in LAYERS:
        squares = jnp.square(_difference_of_directions(features_a[layer], features_b[layer]))
        weighted = squares if heads is None else squares * heads[layer].reshape(1, 1, 1, -1)
        distances = weighted.sum(-1)
        total = total + (_upsample(distances, *images_a.shape[1:3]) if spatial else distances.mean((1, 2)))
    return total


def _net_input(images: Images, value_range: tuple[float, float]) -> Float[Array, "batch height width 3"]:
    """``images`` scaled to [-1, 1], then with LPIPS' own shift and scale."""
    low, high = (0.0, 255.0) if images.dtype == jnp.uint8 else value_range
    shift, scale = (jnp.array(values, jnp.float32).reshape(1, 1, 1, 3) for values in (_SHIFT, _SCALE))
    values = 2 * (jnp.asarray(images, jnp.float32) - low) / (high - low) - 1
    return (values - shift) / scale


def _difference_of_directions(a: Features, b: Features) -> Features:
    """``a / norm(a) - b / norm(b)``, where the norm is that of the features of a pixel.

    In this form the difference of equal features is exactly 0. XLA would contract the plain form to a fused
    multiply-add, which rounds one of the products and not the other.
    """
    norm_a, norm_b = _norm(a), _norm(b)
    return (a - b * (norm_a / norm_b)) / norm_a


def _norm(features: Features) -> Float[Array, "batch rows columns 1"]:
    """The Euclidean norm over the channels, plus a small constant. The derivative of the root at 0 is not finite."""
    squares = jnp.square(features).sum(-1, keepdims=True)
    is_zero = squares == 0
    return jnp.where(is_zero, 0.0, jnp.sqrt(jnp.where(is_zero, 1.0, squares))) + _EPSILON


def _upsample(
    values: Float[Array, "batch rows columns"], height: int, width: int
) -> Float[Array, "batch height width"]:
    """Bilinear, with half-pixel centres and repeated edges, as PyTorch's ``align_corners=False``."""
    return jax.image.resize(values, (len(values), height, width), "bilinear", antialias=False)
