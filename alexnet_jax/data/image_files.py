"""All image files in a folder, whether or not they are in class folders."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from alexnet_jax.config import Resize
from alexnet_jax.data.folder_layout import images_in
from alexnet_jax.data.images import UnreadableImageError, decode_image
from alexnet_jax.data.source import Example, Source


class ImageFiles(Source):
    """The image files in a folder and in its folders, in the order of their paths. Every label is 0.

    Args:
        folder: the folder. Hidden files are left out.
        size: side of the decoded images in pixels.
        channels: 3 for RGB, 1 for grey.
        resize: as for ``decode_image``.

    Raises:
        AlexNetError: there are no images, or a folder cannot be read.
    """

    def __init__(self, folder: Path, size: int, channels: int, resize: Resize) -> None:
        self.folder, self.size, self.channels, self.resize = folder, size, channels, resize
        # strings, because a million paths would take five times the memory
        start = len(os.fspath(folder / "x")) - 1
        self._names = [os.fspath(file)[start:] for file in images_in(folder)]

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Example:
        try:
            image = decode_image(self.folder / self._names[index], self.size, self.channels, self.resize)
        except UnreadableImageError as error:
            raise UnreadableImageError(error.where, error.reason, "restore it, or remove it and start again") from error
        return {"image": image, "label": np.int32(0)}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(size, size, channels)."""
        return self.size, self.size, self.channels

    def name(self, index: int) -> str:
        """The path relative to the folder."""
        return self._names[index].replace(os.sep, "/")

    def file_name(self, index: int) -> str:
        """The name of the file."""
        return os.path.basename(self._names[index])

    def stored_bytes(self) -> int:
        """The size of the files."""
        return sum(os.stat(self.folder / name).st_size for name in self._names)

    def content(self) -> str:
        """The number of files and their size."""
        return f"{len(self):,} files, {self.stored_bytes():,} bytes"

    def __repr__(self) -> str:
        return f"ImageFiles({self.folder}, {len(self)} files)"
