"""Opens images to read features of: a folder, an array of an HDF5 file, or a split of a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.folder import is_image_folder
from alexnet_jax.data.image_array import ImageArray, split_array_name
from alexnet_jax.data.image_files import ImageFiles
from alexnet_jax.data.source import Source
from alexnet_jax.errors import UsageError
from alexnet_jax.stores.fetch import local
from alexnet_jax.stores.store import url_of


def open_images(name: str, config: DataConfig, channels: int, split: str | None, default_split: str) -> Source:
    """The images that ``name`` names, in a fixed order.

    Args:
        name: a folder, whose image files are all read; ``FILE.h5:ARRAY``; or a data set as in ``config.dataset``. Those
            on an object store are first copied to the user's cache.
        config: the size of the images, how they are resized, and the directory of data sets.
        channels: 3 for RGB, 1 for grey.
        split: the split of a data set, or None.
        default_split: the split if ``split`` is None.

    Raises:
        AlexNetError: the images cannot be read.
        UsageError: there is no such data set, split or array, or something without splits is given a split.
    """
    named_array = split_array_name(name)
    if named_array is not None:
        named_array = local(named_array[0]), named_array[1]
    elif url_of(name) is not None:
        name = str(local(name))
    is_folder = named_array is None and is_image_folder(name)
    if split is not None and (named_array or is_folder):
        raise UsageError(f"--split is {split}: only data sets have splits; name the folder or the array that you want")
    if named_array is not None:
        return ImageArray(*named_array, config.image_size, channels, config.resize)
    if is_folder:
        return ImageFiles(Path(name).expanduser(), config.image_size, channels, config.resize)
    if Path(name).is_file():
        raise UsageError(f"{name}: is a file; name a folder of images, or FILE.h5:ARRAY for an array in HDF5")
    chosen = split or default_split
    config = replace(
        config,
        dataset=name,
        train_split=chosen,
        test_split=chosen,
        validation_split=None,
        validation_fraction=0.0,
    )
    return open_dataset(config, channels).test
