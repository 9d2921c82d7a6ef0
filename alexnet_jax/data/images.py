"""Decoding of images to arrays of one shape."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import simplejpeg
from jaxtyping import UInt8
from PIL import Image, ImageOps

from alexnet_jax.config import Resize
from alexnet_jax.errors import AlexNetError, first_line

_JPEG = b"\xff\xd8\xff"
_ORIENTATION = (b"Exif\0\0", b"tiff:Orientation")  # metadata that may rotate the image


class UnreadableImageError(AlexNetError):
    """A file or record is not an image, or is damaged.

    Args:
        where: the file or record.
        reason: what is wrong with it, in a few words.
        remedy: what the user can do.
    """

    def __init__(self, where: str, reason: str, remedy: str = "remove or replace it") -> None:
        super().__init__(f"{where}: not a readable image ({reason}); {remedy}")
        self.where = where
        self.reason = reason


def decode_image(
    encoded: bytes | Path, size: int, channels: int, resize: Resize = "crop"
) -> UInt8[np.ndarray, "size size channels"]:
    """Decodes an image and resizes it to a square, with antialiased bicubic interpolation.

    Transparency is dropped, as in torchvision. 16-bit channels keep their upper 8 bits. Of an animation, the first
    frame is read.

    Args:
        encoded: a file, or its content, in any format that Pillow reads.
        size: side of the result in pixels.
        channels: 3 converts to RGB, 1 to grey.
        resize: ``crop`` scales the shorter side to ``size`` and crops the central square (paper, section 2);
            ``squash`` scales both sides to ``size``.

    Raises:
        UnreadableImageError: it is not an image, or it is damaged.
    """
    pixels = decode_pixels(encoded, channels)
    return fit_pixels(pixels, size, channels, resize)


def decode_pixels(encoded: bytes | Path, channels: int) -> UInt8[np.ndarray, "height width channels"]:
    """Decodes an image at its own size. Arguments and errors as for ``decode_image``."""
    try:
        content = encoded if isinstance(encoded, bytes) else _read(encoded)
        pixels = _decode_plain_jpeg(content) if channels == 3 else None
        if pixels is not None:
            return pixels
        with Image.open(io.BytesIO(content)) as opened:
            image = _eight_bit(ImageOps.exif_transpose(opened)).convert(_mode(channels))
        return np.asarray(image, np.uint8).reshape(image.height, image.width, channels)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's parsers raise many types, such as struct.error for damaged EXIF
        where = "a record of the data set" if isinstance(encoded, bytes) else str(encoded)
        raise UnreadableImageError(where, _reason(error)) from error


def dropped_parts(file: Path) -> list[str]:
    """The parts of a readable image file that decoding drops, in a few words each."""
    with Image.open(file) as image:
        parts = {
            "its transparency": image.has_transparency_data,
            "the lower 8 bits of its 16": ";16" in str(image.tile),
            "all frames but the first": getattr(image, "n_frames", 1) > 1,
        }
    return [part for part, is_there in parts.items() if is_there]


def _read(file: Path) -> bytes:
    if file.is_fifo() or file.is_char_device():  # reading might never end
        raise ValueError("not a regular file")
    return file.read_bytes()


def _decode_plain_jpeg(content: bytes) -> UInt8[np.ndarray, "height width 3"] | None:
    """The pixels of an intact, upright colour JPEG; None for other files.

    Faster than Pillow with the same result, bit for bit: both use libjpeg-turbo with the accurate integer DCT and
    fancy upsampling.
    """
    if not content.startswith(_JPEG) or any(mark in content for mark in _ORIENTATION):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        plain = colours in ("YCbCr", "RGB") and height * width <= (Image.MAX_IMAGE_PIXELS or 0)
        return simplejpeg.decode_jpeg(content) if plain else None
    except ValueError:  # damaged; Pillow reads some of these, and reports what is wrong with the others
        return None


def fit_pixels(
    pixels: UInt8[np.ndarray, "height width stored_channels"], size: int, channels: int, resize: Resize = "crop"
) -> UInt8[np.ndarray, "size size channels"]:
    """``decode_image`` for decoded pixels, grey or RGB.

    Raises:
        AlexNetError: ``pixels`` have another number of channels.
    """
    if pixels.shape[-1] not in (1, 3):
        raise AlexNetError(f"an image of raw pixels has {pixels.shape[-1]} channels: store 3 (RGB) or 1 (grey)")
    if pixels.shape == (size, size, channels):
        return pixels
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[-1] == 1 else pixels)
    return _fit(image.convert(_mode(channels)), size, channels, resize)


def _eight_bit(image: Image.Image) -> Image.Image:
    """``image`` in a mode that Pillow converts to RGB without clipping and without warnings."""
    if image.mode.startswith("I"):  # grey with 16 or 32 bits, which Pillow would clip at 255
        pixels = np.asarray(image)
        if pixels.min() < 0 or pixels.max() > 0xFFFF:
            raise ValueError("its pixels have more than 16 bits")
        return Image.fromarray((pixels >> 8).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        return image.convert("RGBA")
    return image


def _mode(channels: int) -> str:
    return "L" if channels == 1 else "RGB"


def _fit(image: Image.Image, size: int, channels: int, resize: Resize) -> np.ndarray:
    if image.size != (size, size):
        fit = ImageOps.fit if resize == "crop" else Image.Image.resize
        image = fit(image, (size, size), Image.Resampling.BICUBIC)
    return np.asarray(image, np.uint8).reshape(size, size, channels)


def _reason(error: Exception) -> str:
    """Pillow's message without the file name."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return "cannot identify the format" if "cannot identify" in str(error) else first_line(error)
