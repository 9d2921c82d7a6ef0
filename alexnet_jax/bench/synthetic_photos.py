"""A data set of synthetic photos, for measurements that need no download."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from alexnet_jax.config import DataConfig
from alexnet_jax.data.prepare.build import prepare
from alexnet_jax.data.prepare.collection import Collection, Item, Portion
from alexnet_jax.data.prepare.recipe import Encoding, Recipe

_CLASSES = 10
_MAX_DISTINCT = 64
"""The others are copies of these, shifted sideways."""


def prepare_photos(directory: Path, count: int, image_size: int, encoding: Encoding) -> DataConfig:
    """Prepares a data set of synthetic photos in ``directory``, with a test set of a tenth of the size.

    Args:
        directory: the TFDS data directory to write to.
        count: the number of training images.
        image_size: side of the images in pixels.
        encoding: how to store the images.

    Returns:
        The config that opens the data set.
    """
    rng = np.random.default_rng(0)
    photos = [synthetic_photo(rng, image_size) for _ in range(min(count, _MAX_DISTINCT))]

    def read(index: int) -> dict[str, Any]:
        shift, photo = divmod(index, len(photos))
        return {"image": np.roll(photos[photo], 7 * shift, axis=1), "label": index % _CLASSES}

    def portion(size: int) -> Portion:
        return Portion(size, lambda: [Item(f"{index}.jpg", partial(read, index)) for index in range(size)])

    splits: dict[str, tuple[Portion, ...]] = {"train": (portion(count),), "test": (portion(max(1, count // 10)),)}
    names = tuple(f"class{label}" for label in range(_CLASSES))
    collection = Collection(names, splits, fingerprint=f"photos {count}", description="Synthetic photos.")
    prepare(collection, Recipe(image_size, encoding), directory, f"photos_{encoding}")
    return DataConfig(dataset=f"photos_{encoding}", data_dir=str(directory), image_size=image_size)


def synthetic_photo(rng: np.random.Generator, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Noise at every scale, stronger at coarse scales, so that JPEG compresses it about as well as a photo."""
    pixels, side = np.full((size, size, 3), 128.0), 2
    while side <= size:
        grid = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        noise = np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC), np.float64) - 128
        pixels += noise / side**0.45 if side < size else noise / 15
        side *= 2
    return np.clip(pixels, 0, 255).astype(np.uint8)
