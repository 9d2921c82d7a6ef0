"""Encoded images to arrays of one shape."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, ImageOps

from alexnet_jax.errors import AlexNetError, first_line

_JPEG = b"\xff\xd8\xff"
_ORIENTATION = (b"Exif\0\0", b"tiff:Orientation")  # where a photo may say that it lies on its side


class UnreadableImageError(AlexNetError):
    """What should be an image is none; ``reason`` says why, in a few words."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: not a readable image ({reason}); remove or replace it")
        self.reason = reason


def decode_image(encoded: bytes | Path, size: int, channels: int) -> UInt8[np.ndarray, "size size channels"]:
    """The image as ``size`` x ``size`` pixels: shorter side scaled to ``size``, centre cut out (paper, section 2).

    Reads JPEG, PNG, WebP and what else Pillow does; grey, CMYK and transparent images become RGB, or grey where
    ``channels`` is 1. Raises UnreadableImageError for what is no image, naming the file where ``encoded`` is a path.
    """
    try:
        content = encoded if isinstance(encoded, bytes) else encoded.read_bytes()
        pixels = _decode_plain_jpeg(content) if channels == 3 else None
        if pixels is not None:
            return fit_pixels(pixels, size, channels)
        with Image.open(io.BytesIO(content)) as opened:
            image = ImageOps.exif_transpose(opened).convert(_mode(channels))
    except Exception as error:  # Pillow raises whatever its parsers do, of damaged EXIF even struct.error
        where = "a record of the data set" if isinstance(encoded, bytes) else str(encoded)
        raise UnreadableImageError(where, _reason(error)) from error
    return _fit(image, size, channels)


def _decode_plain_jpeg(content: bytes) -> UInt8[np.ndarray, "height width 3"] | None:
    """A whole upright JPEG in colour, as Pillow decodes it, bit for bit, in half of its time; None for all else.

    Both decode by libjpeg-turbo with the exact transform and smooth chroma.
    """
    if not content.startswith(_JPEG) or any(mark in content for mark in _ORIENTATION):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        plain = colours in ("YCbCr", "RGB") and height * width <= (Image.MAX_IMAGE_PIXELS or 0)
        return simplejpeg.decode_jpeg(content) if plain else None
    except ValueError:  # damaged: Pillow repairs some of it and says what is wrong with the rest
        return None


def fit_pixels(
    pixels: UInt8[np.ndarray, "height width stored_channels"], size: int, channels: int
) -> UInt8[np.ndarray, "size size channels"]:
    """As ``decode_image``, of pixels that need no decoding, grey or RGB."""
    if pixels.shape == (size, size, channels):
        return pixels
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)
    return _fit(image.convert(_mode(channels)), size, channels)


def _mode(channels: int) -> str:
    return "L" if channels == 1 else "RGB"


def _fit(image: Image.Image, size: int, channels: int) -> np.ndarray:
    if image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, np.uint8).reshape(size, size, channels)


def _reason(error: Exception) -> str:
    """Pillow's words, without the place that the caller names."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "cannot identify the format" if "cannot identify" in str(error) else first_line(error)
