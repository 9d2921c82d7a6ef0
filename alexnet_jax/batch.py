"""The format of a batch, and checks of its shapes and dtypes, which are known when a step is traced."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Array

from alexnet_jax.errors import UsageError

Batch = dict[str, Array]
"""``image``: uint8 (batch, height, width, channels) as stored; ``label``: int32 (batch,). In place of ``image``,
``kept``: float32 (batch, views, ...), the outputs of the frozen layers for the views of each image."""

KEPT = "kept"

INDEX = "index"
"""In place of ``image`` and ``label``: int32 (batch,), the places of the examples in arrays that the devices hold."""

PADDING_LABEL = -1
"""The label of an example that pads the last batch of an evaluation. It does not count."""


def _check_is_array(value: Any, name: str) -> None:
    if not (hasattr(value, "shape") and hasattr(value, "dtype")):
        raise UsageError(f"the {name} are of type {type(value).__name__}: use an array of NumPy or JAX")


def check_images(images: Any, channels: int, smallest_side: int) -> None:
    """Checks the shape and dtype of stored images.

    Args:
        images: should be uint8 (batch, height, width, channels).
        channels: the channels of an image.
        smallest_side: the smallest height and width in pixels.

    Raises:
        UsageError: ``images`` have another shape or dtype.
    """
    _check_is_array(images, "images")
    shape = images.shape
    has = f"images have shape {shape} and dtype {images.dtype}"
    if images.dtype != np.uint8:
        raise UsageError(f"{has}: use uint8 with pixels in 0..255, not in 0..1")
    if len(shape) != 4 or shape[3] != channels:
        is_channels_first = len(shape) == 4 and shape[1] == channels
        remedy = ", images.transpose(0, 2, 3, 1)" if is_channels_first else ""
        raise UsageError(f"{has}: use (batch, height, width, {channels}){remedy}")
    if shape[0] == 0:
        raise UsageError(f"{has}: use at least one image")
    if min(shape[1:3]) < smallest_side:
        remedy = f"use a height and a width of at least {smallest_side} pixels, the crop of the net"
        raise UsageError(f"{has}: {remedy}")


def images_and_labels(batch: Batch) -> tuple[Array, Array]:
    """The images and the labels of a batch.

    Raises:
        UsageError: ``batch`` lacks them.
    """
    missing = {"image", "label"} - set(batch)
    if missing:
        raise UsageError(f"the batch has no {min(missing)!r}: use a dict of 'image' and 'label'")
    return batch["image"], batch["label"]


def kept_and_labels(batch: Batch) -> tuple[Array, Array]:
    """The outputs of frozen layers and the labels of a batch that holds them.

    Raises:
        UsageError: ``batch`` lacks the labels.
    """
    return images_and_labels({**batch, "image": batch[KEPT]})


def check_labels(labels: Any, count: int) -> None:
    """Checks the shape and dtype of the labels of ``count`` images.

    Raises:
        UsageError: ``labels`` are not integers (count,).
    """
    _check_is_array(labels, "labels")
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        remedy = f"use int32 ({count},), the index of its class for each image"
        raise UsageError(f"labels have shape {labels.shape} and dtype {labels.dtype}: {remedy}")


def is_kept(batch: Batch) -> bool:
    """Whether ``batch`` holds the outputs of frozen layers in place of images."""
    return KEPT in batch
