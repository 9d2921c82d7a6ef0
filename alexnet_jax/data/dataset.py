"""Opens the data set of a run: a folder of images, or a prepared TFDS data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alexnet_jax.config import DataConfig
from alexnet_jax.config.checks import check
from alexnet_jax.data.balance import balance_notes
from alexnet_jax.data.folder import is_image_folder, open_folder
from alexnet_jax.data.source import DataSet, hold_out
from alexnet_jax.data.tfds_source import find_tfds, open_tfds
from alexnet_jax.errors import UsageError
from alexnet_jax.stores.fetch import local
from alexnet_jax.stores.store import url_of


def open_dataset(config: DataConfig, channels: int = 3) -> DataSet:
    """Opens the data set that ``config`` names. Images are decoded when they are read.

    A data set on an object store is first copied to the user's cache, with progress on standard error.

    Args:
        config: the data set, its splits, what to hold out for validation, and the size of the images.
        channels: 3 for RGB, 1 for grey.

    Returns:
        The splits. An example is ``{"image": uint8 (size, size, channels), "label": int32}``, where ``size`` is
        ``config.image_size``.

    Raises:
        UsageError: the data set or a split does not exist, no training images are left, or ``channels`` is another
            number.
        AlexNetError: the data set cannot be read.
    """
    check(channels in (1, 3), "model.channels", channels, "use 3, because images are read as RGB, or 1 for grey")
    if url_of(config.dataset) is not None:
        config = replace(config, dataset=str(local(config.dataset)))
    path = Path(config.dataset).expanduser()
    if is_image_folder(config.dataset):
        data = open_folder(path, config, channels)
    elif path.is_dir():
        data = open_tfds(path, config, channels)
    elif config.dataset.startswith((".", "~", "/")):
        raise UsageError(f"data.dataset is {config.dataset!r}: no such folder; name a folder of class folders")
    else:
        data = open_tfds(find_tfds(config), config, channels)
    if config.validation_fraction > 0:
        train, validation = hold_out(data.train, config.validation_fraction, (config.split_seed, 0))
        data = replace(data, train=train, validation=validation)
    return replace(data, notes=(*data.notes, *balance_notes(data)))
