"""Prepared TFDS data sets in ArrayRecord format, read without TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_jax.config import DataConfig, Resize
from alexnet_jax.data.images import UnreadableImageError, decode_image, fit_pixels
from alexnet_jax.data.records import Records, find_features
from alexnet_jax.data.source import DataSet, Example, Source
from alexnet_jax.data.synsets import readable_names
from alexnet_jax.errors import AlexNetError, UsageError, first_line, unknown_name
from alexnet_jax.hints import command
from alexnet_jax.stores.fetch import fetch
from alexnet_jax.stores.store import url_of

PACKAGED = Path(__file__).parent / "tfds"
"""The directory of the data sets that come with the package."""


@dataclass(frozen=True)
class TfdsSource(Source):
    """One split of a prepared TFDS data set. Its images are encoded or raw pixels."""

    split: str
    records: Records
    size: int
    channels: int
    resize: Resize
    where: Path

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        try:
            stored, label = self.records[index]
            if isinstance(stored, bytes):
                image = decode_image(stored, self.size, self.channels, self.resize)
            else:
                image = fit_pixels(stored, self.size, self.channels, self.resize)
        except UnreadableImageError as error:
            raise self._unreadable(index, error.reason) from error
        except (AlexNetError, MemoryError):
            raise
        except Exception as error:  # the parsers of array_record, protobuf and TFDS raise many types
            raise self._unreadable(index, first_line(error)) from error
        return {"image": image, "label": np.int32(label)}

    def _unreadable(self, index: int, reason: str) -> UnreadableImageError:
        return UnreadableImageError(
            f"{self.where}: {self.name(index)}", reason, "restore it, or prepare the data again"
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(size, size, channels)."""
        return self.size, self.size, self.channels

    def name(self, index: int) -> str:
        """The split and the index."""
        return f"{self.split} {index}"

    def file_name(self, index: int) -> str | None:
        """The record's ``file_name``, if the data set has one."""
        return self.records.file_name(index)

    def stored_bytes(self) -> int:
        """About how many bytes the records take."""
        return self.records.stored_bytes()

    def content(self) -> str:
        """The data set, its version, the split, and the size of its files."""
        return self.records.content()

    def __repr__(self) -> str:
        return f"TfdsSource({self.where}, {len(self.records)} records)"


def find_tfds(config: DataConfig) -> Path:
    """The directory of the prepared data set that ``config`` names.

    Args:
        config: ``dataset`` is NAME, NAME:VERSION or NAME/CONFIG:VERSION. Without a version, the newest is used.
            ``data_dir`` is searched, or else the package and TFDS's own directory. From an object store, the version
            is copied to the user's cache.

    Raises:
        UsageError: the data set does not exist.
    """
    url = url_of(config.data_dir or "")
    if url is not None:
        return _find_stored(config, url)
    name, _, version = config.dataset.partition(":")
    data_dirs = _data_dirs(config)
    for data_dir in data_dirs:
        versions = [info.parent for info in (data_dir / name).glob(f"{version or '*'}/dataset_info.json")]
        if versions:
            return max(versions, key=_version_number)
    prepared = {
        str(info.parent.parent.relative_to(data_dir))
        for data_dir in data_dirs
        for pattern in ("*/*/dataset_info.json", "*/*/*/dataset_info.json")
        for info in data_dir.glob(pattern)
    }
    searched = " or ".join(map(str, data_dirs))
    if name in prepared:
        raise UsageError(f"data.dataset is {config.dataset!r}: {searched} has {name}, but not this version")
    unknown = unknown_name("data set", config.dataset, prepared) if prepared else f"unknown data set {config.dataset!r}"
    raise UsageError(f"{unknown} (in {searched}); {_how_to_prepare(name)}, or use --data.data_dir or a folder's path")


def _find_stored(config: DataConfig, url: str) -> Path:
    infos = fetch(url, lambda name: name.endswith("dataset_info.json"))
    try:
        found = find_tfds(replace(config, data_dir=str(infos)))
    except UsageError as error:
        raise UsageError(str(error).replace(str(infos), url)) from error
    return fetch(f"{url}/{found.relative_to(infos).as_posix()}")


def _data_dirs(config: DataConfig) -> list[Path]:
    if config.data_dir is not None:
        return [Path(config.data_dir).expanduser()]
    import tensorflow_datasets as tfds  # slow to import, and not needed for folders

    return [PACKAGED, Path(tfds.core.constants.DATA_DIR)]


def _how_to_prepare(name: str) -> str:
    """How to prepare the data set ``name``, inferred from the name."""
    import tensorflow_datasets as tfds

    for edition in ("imagenet2012", "imagenet2010"):
        if name.startswith(edition):
            return f"prepare it with `{command('prepare', edition, '--help')}`"
    if name.partition("/")[0] in tfds.list_builders(with_community_datasets=False):
        return f"prepare it with `tfds build {name} --file_format=array_record`, which needs TensorFlow"
    return f"prepare one with `{command('prepare', '--help')}`"


def _version_number(directory: Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in directory.name.split("."))


def open_tfds(directory: Path, config: DataConfig, channels: int) -> DataSet:
    """The data set in ``directory``, the directory of a version.

    Args:
        directory: holds ``dataset_info.json``.
        config: the names of the splits.
        channels: 3 for RGB, 1 for grey.

    Raises:
        AlexNetError: the data set is damaged, or is not stored as ArrayRecord.
        UsageError: it has no such split.
    """
    import tensorflow_datasets as tfds  # slow to import

    try:
        builder = tfds.builder_from_directory(directory)
    except Exception as error:  # TFDS's parsers raise many types
        raise AlexNetError(f"{directory}: damaged data set ({first_line(error)}); prepare it again") from error
    if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        raise AlexNetError(
            f"{directory}: is stored as {builder.info.file_format.value}, which needs TensorFlow; convert it with "
            f"`tfds convert_format --dataset_version_dir={directory} --out_file_format=array_record --out_dir=OTHER` "
            "and use OTHER"
        )
    image_key, label_key = find_features(builder.info.features, builder.info.supervised_keys, directory)

    def read(split: str) -> TfdsSource:
        return _open_split(builder, split, (image_key, label_key), config, channels)

    return DataSet(
        train=read(config.train_split),
        test=read(config.test_split),
        validation=read(config.validation_split) if config.validation_split else None,
        class_names=readable_names(builder.info.features[label_key].names),
        where=directory,
    )


def _open_split(builder: Any, split: str, keys: tuple[str, str], config: DataConfig, channels: int) -> TfdsSource:
    if split.partition("[")[0] not in builder.info.splits:
        raise unknown_name(f"split of {builder.info.full_name}", split, builder.info.splits)
    directory = Path(builder.data_dir)
    try:
        records = Records(builder, split, *keys)
        source = TfdsSource(split, records, config.image_size, channels, config.resize, directory)
        source.records.check_files()
    except AlexNetError:
        raise
    except Exception as error:  # array_record raises many types
        raise AlexNetError(f"{directory}: damaged split {split!r} ({first_line(error)}); prepare it again") from error
    return source
