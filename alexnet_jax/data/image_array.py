"""Images in an array of an HDF5 file, such as the stimuli of an experiment."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_jax.config import Resize
from alexnet_jax.data.images import UnreadableImageError, fit_pixels
from alexnet_jax.data.source import Example, Source
from alexnet_jax.errors import AlexNetError, UsageError, first_few, first_line, printable, unknown_name

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")
"""The suffixes of HDF5 files."""


def split_array_name(text: str) -> tuple[Path, str] | None:
    """The file and the array of ``stimuli.hdf5:/imgBrick``, or None if ``text`` does not name an HDF5 file.

    The array is an empty string if only the file is named.
    """
    if text.endswith(HDF5_SUFFIXES):
        return Path(text), ""
    for suffix in HDF5_SUFFIXES:
        file, separator, array = text.rpartition(f"{suffix}:")
        if separator:
            return Path(file + suffix), array
    return None


def open_hdf5(file: Path) -> Any:
    """An ``h5py.File`` for reading.

    Raises:
        AlexNetError: the file does not exist, is not an HDF5 file, or is damaged.
    """
    import h5py  # takes 0.2 s

    if not file.is_file():
        raise AlexNetError(f"{file}: {'not a regular file' if file.exists() else 'no such file'}; name an HDF5 file")
    try:
        return h5py.File(file, "r")
    except OSError as error:
        text = str(error)
        if "truncated" in text:
            raise AlexNetError(f"{file}: is truncated, a part at the end is missing; copy it again") from error
        if "lock" in text:
            raise AlexNetError(f"{file}: another process writes to it; wait until it ends") from error
        reason = "is not an HDF5 file" if "signature" in text else f"cannot be read ({first_line(error)})"
        raise AlexNetError(f"{file}: {reason}; name an intact HDF5 file") from error


class ImageArray(Source):
    """The images of an array (images, height, width, channels) or (images, height, width), uint8. Every label is 0.

    Args:
        file: the HDF5 file.
        array: the path of the array in the file.
        size: side of the images in pixels, to which they are resized.
        channels: 3 for RGB, 1 for grey.
        resize: as for ``decode_image``.

    Raises:
        AlexNetError: the file cannot be read, or the array has another shape or dtype.
        UsageError: the file has no such array.
    """

    def __init__(self, file: Path, array: str, size: int, channels: int, resize: Resize) -> None:
        self.file, self.array, self.size, self.channels, self.resize = file, array, size, channels, resize
        self._open = open_hdf5(file)
        self._data = _find(self._open, file, array)
        shape, dtype = self._data.shape, self._data.dtype
        has_channels = len(shape) == 4 and shape[-1] in (1, 3)
        if dtype != np.uint8 or not (has_channels or len(shape) == 3) or 0 in shape:
            order = ", in this order of axes" if len(shape) == 4 and shape[1] in (1, 3) else ""
            raise AlexNetError(
                f"{file}:{array}: has shape {shape} and dtype {dtype}; use uint8 (images, height, width, 3) or "
                f"(images, height, width){order}"
            )

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> Example:
        pixels = self._pixels(index)
        image = fit_pixels(pixels.reshape(*pixels.shape[:2], -1), self.size, self.channels, self.resize)
        return {"image": image, "label": np.int32(0)}

    def _pixels(self, index: int) -> np.ndarray:
        try:
            return np.asarray(self._data[index])
        except OSError as error:
            where = f"{self.file}:{self.name(index)}"
            raise UnreadableImageError(where, first_line(error), "copy the file again") from error

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(size, size, channels)."""
        return self.size, self.size, self.channels

    def name(self, index: int) -> str:
        """The array and the index."""
        return f"{self.array}[{index}]"

    def stored_bytes(self) -> int:
        """The size of the pixels."""
        return int(self._data.nbytes)

    def content(self) -> str:
        """The array, its shape and the SHA-256 of its pixels, which are all read once."""
        return f"{self.array} {self._data.shape}, SHA-256 {self._sha256}"

    @cached_property
    def _sha256(self) -> str:
        digest = hashlib.sha256()
        for index in range(len(self)):
            digest.update(self._pixels(index).tobytes())
        return digest.hexdigest()

    def __repr__(self) -> str:
        return f"ImageArray({self.file}, {self.array}, {len(self)} images)"


def _find(opened: Any, file: Path, array: str) -> Any:
    import h5py

    if array and isinstance(found := opened.get(array), h5py.Dataset):
        return found
    arrays: list[str] = []
    opened.visititems(lambda name, item: arrays.append(f"/{name}") if isinstance(item, h5py.Dataset) else None)
    if not arrays:
        raise AlexNetError(f"{file}: has no arrays; name a file with an array of images")
    if not array:
        names = first_few([printable(f"{file}:{name}") for name in arrays])
        raise UsageError(f"{file}: which of its arrays? Name one of {names}")
    error = unknown_name("array", array, [printable(name) for name in arrays])
    raise UsageError(f"{file}: {error}")
