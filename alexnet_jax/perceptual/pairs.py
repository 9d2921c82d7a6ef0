"""The pairs of image files that two paths name, and their pixels."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from alexnet_jax.data.folder_layout import images_in
from alexnet_jax.data.images import decode_pixels
from alexnet_jax.errors import AlexNetError, UsageError, first_few
from alexnet_jax.perceptual.checks import MIN_SIZE


def find_pairs(a: Path, b: Path | None) -> list[tuple[Path, Path]]:
    """The pairs that two paths name.

    Args:
        a: a file or a folder.
        b: a file, if ``a`` is one. A folder, whose images have the names of those in ``a``. None, or ``a`` again, names
            all pairs of images in ``a``.

    Raises:
        UsageError: a file and a folder, or names that do not match.
        AlexNetError: a folder cannot be read, or has too few images.
    """
    if b is None and not a.is_dir():
        raise UsageError(f"{a}: is one image; name a second one, or a folder")
    if b is None or (a.is_dir() and b.is_dir() and a.samefile(b)):
        files = _images_in(a)
        if len(files) < 2:
            raise AlexNetError(f"{a}: has one image; use a folder with two or more")
        return list(combinations(files.values(), 2))
    if a.is_dir() != b.is_dir():
        folder, file = (a, b) if a.is_dir() else (b, a)
        raise UsageError(f"{folder} is a folder and {file} is not; name two files or two folders")
    if not a.is_dir():
        return [(a, b)]
    first, second = _images_in(a), _images_in(b)
    for here, files, there, others in ((a, first, b, second), (b, second, a, first)):
        alone = [name for name in files if name not in others]
        if alone:
            raise UsageError(
                f"{here} has {first_few(alone)}, which {there} does not have; give the {len(alone)} image(s) a partner "
                "of the same name, or remove them"
            )
    return [(file, second[name]) for name, file in first.items()]


def _images_in(folder: Path) -> dict[str, Path]:
    """The images in a folder and in its folders, by their path in it."""
    return {str(file.relative_to(folder)): file for file in images_in(folder)}


def read_image(file: Path) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of an image file, large enough for the net.

    Raises:
        UnreadableImageError: it is not an image, or it is damaged.
        UsageError: it is too small.
    """
    pixels = decode_pixels(file, 3)
    if min(pixels.shape[:2]) < MIN_SIZE:
        raise UsageError(f"{file}: is {_size(pixels)} pixels; use images of at least {MIN_SIZE} x {MIN_SIZE}")
    return pixels


def check_sizes(pair: tuple[Path, Path], a: np.ndarray, b: np.ndarray) -> None:
    """Checks that the two images have the same size.

    Raises:
        UsageError: their sizes differ.
    """
    if a.shape != b.shape:
        raise UsageError(
            f"{pair[0]} is {_size(a)} pixels and {pair[1]} {_size(b)} (width x height, upright by its EXIF); scale or "
            "crop one of them to the size of the other"
        )


def _size(pixels: np.ndarray) -> str:
    height, width = pixels.shape[:2]
    return f"{width} x {height}"
