"""Encoded images to arrays of one shape."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from alexnet_jax.errors import AlexNetError


def decode_image(encoded: bytes | Path, size: int, channels: int) -> UInt8[np.ndarray, "size size channels"]:
    """The image as ``size`` x ``size`` pixels: shorter side scaled to ``size``, centre cut out (paper, section 2).

    Reads JPEG, PNG, WebP and what else Pillow does; grey, CMYK and transparent images become RGB, or grey where
    ``channels`` is 1. Raises AlexNetError for what is no image, naming the file where ``encoded`` is a path.
    """
    try:
        with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as opened:
            image = ImageOps.exif_transpose(opened).convert("L" if channels == 1 else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        where = "a record of the data set" if isinstance(encoded, bytes) else str(encoded)
        raise AlexNetError(f"{where}: not a readable image ({_reason(error)}); remove or replace it") from error
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, np.uint8).reshape(size, size, channels)


def _reason(error: Exception) -> str:
    """Pillow's words, without the place that the caller names."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "cannot identify the format" if "cannot identify" in str(error) else str(error)
