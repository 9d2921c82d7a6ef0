"""Checks of the arguments of ``lpips``, each with an error in one line."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from alexnet_jax.config import ModelConfig
from alexnet_jax.errors import UsageError

MIN_SIZE = 32
"""The smallest height and width of an image, in pixels."""


def check_value_range(value_range: Any) -> tuple[float, float]:
    """The values of black and white.

    Raises:
        UsageError: they are not two finite numbers in ascending order.
    """
    try:
        low, high = (float(value) for value in value_range)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"value_range is {value_range!r}: use the values of black and white, such as (0, 1)")
    return low, high


def check_convolutions(params: PyTree, model: ModelConfig) -> None:
    """Checks that ``params`` hold the convolutions of ``model``.

    Raises:
        UsageError: a convolution is missing or has another shape.
    """
    inputs = model.channels
    for number, conv in enumerate(model.convs, start=1):
        name, shape = f"conv{number}", (conv.kernel_size, conv.kernel_size, inputs // conv.groups, conv.features)
        try:
            found = jnp.shape(params[name]["kernel"]), jnp.shape(params[name]["bias"])
        except (TypeError, KeyError, IndexError):
            raise UsageError(f"params have no {name} with a kernel and a bias: {_REMEDY}") from None
        if found != (shape, shape[-1:]):
            raise UsageError(f"{name} has a kernel of shape {found[0]}, and torchvision's AlexNet {shape}: {_REMEDY}")
        inputs = conv.features


_REMEDY = "use the parameters of the net torchvision, as of pretrained('torchvision_features')"


def check_pair(images_a: Any, images_b: Any, low: float, high: float) -> None:
    """Checks the shapes and dtypes of two batches, and their values unless they are being traced.

    Raises:
        UsageError: something is wrong with them.
    """
    for name, images in (("images_a", images_a), ("images_b", images_b)):
        _check_images(name, images)
    if images_a.shape != images_b.shape:
        raise UsageError(
            f"images_a have shape {images_a.shape} and images_b {images_b.shape}: use images of the same shape"
        )
    for name, images in (("images_a", images_a), ("images_b", images_b)):
        if images.dtype != np.uint8 and not isinstance(images, jax.core.Tracer):
            _check_values(name, images, low, high)


def _check_images(name: str, images: Any) -> None:
    if not (hasattr(images, "shape") and hasattr(images, "dtype")):
        raise UsageError(f"{name} are of type {type(images).__name__}: use an array of NumPy or JAX")
    has = f"{name} have shape {images.shape} and dtype {images.dtype}"
    if images.dtype != np.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
        raise UsageError(f"{has}: use floats, or uint8 with pixels in 0..255")
    if len(images.shape) != 4 or images.shape[3] != 3:
        raise UsageError(f"{has}: use (batch, height, width, 3){_layout_remedy(images.shape)}")
    if images.shape[0] == 0:
        raise UsageError(f"{has}: use at least one image")
    if min(images.shape[1:3]) < MIN_SIZE:
        raise UsageError(f"{has}: use a height and a width of at least {MIN_SIZE} pixels, or scale them up")


def _layout_remedy(shape: tuple[int, ...]) -> str:
    """How to get the right layout, where the shape shows what is wrong with it."""
    match shape:
        case (_, 3, _, _):
            return ", images.transpose(0, 2, 3, 1)"
        case (_, _, 3):
            return ", images[None]"
        case (_, _, _, 4):
            return ", images[..., :3] without transparency"
        case (_, _, _, 1):
            return ", images.repeat(3, axis=3) for grey"
        case _:
            return ""


def _check_values(name: str, images: Any, low: float, high: float) -> None:
    smallest, largest = float(images.min()), float(images.max())
    if not (smallest >= low and largest <= high):  # also for NaN
        raise UsageError(
            f"{name} have values from {smallest:g} to {largest:g}: value_range is ({low:g}, {high:g}); pass the range "
            f"of the images, such as value_range={_likely_range(smallest, largest)}, or clip them"
        )


def _likely_range(smallest: float, largest: float) -> tuple[int, int]:
    """The usual range that holds such values."""
    if smallest < 0:
        return -1, 1
    return (0, 255) if largest > 1 else (0, 1)
