"""Data sets on disk: prepared TFDS sets in ArrayRecord form, without TensorFlow, and folders of class folders."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_jax.config import DataConfig
from alexnet_jax.data.images import decode_image, fit_pixels
from alexnet_jax.data.records import Records, find_features
from alexnet_jax.data.synsets import readable_names
from alexnet_jax.errors import AlexNetError, UsageError, first_line, unknown_name

PACKAGED = Path(__file__).parent / "tfds"
"""TFDS data sets that come with the package."""
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}

Example = dict[str, Any]
"""``image``: uint8 (size, size, channels); ``label``: int32."""


class Source(ABC):
    """Examples by index, in a fixed order. Its text names them, as Grain wants of what it reads."""

    @abstractmethod
    def __len__(self) -> int:
        """How many examples there are."""

    @abstractmethod
    def __getitem__(self, index: int) -> Example:
        """The example at ``index``, decoded."""

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """Of every image: size, size, channels."""

    @abstractmethod
    def name(self, index: int) -> str:
        """What a person can find the example at ``index`` by."""


@dataclass(frozen=True)
class DataSet:
    """The images of one run."""

    train: Source
    test: Source
    validation: Source | None
    class_names: tuple[str, ...]
    where: Path


@dataclass(frozen=True)
class Part(Source):
    """Some of a source's examples."""

    source: Source
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        return self.source[int(self.indices[index])]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of the whole source."""
        return self.source.image_shape

    def name(self, index: int) -> str:
        """The name that it has in the whole source."""
        return self.source.name(int(self.indices[index]))

    def __repr__(self) -> str:
        return f"Part({self.source!r}, {len(self.indices)} examples)"


@dataclass(frozen=True)
class FolderSource(Source):
    """Image files with their labels, in class folders of ``folder``."""

    folder: Path
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    size: int
    channels: int

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Example:
        image = decode_image(self.files[index], self.size, self.channels)
        return {"image": image, "label": np.int32(self.labels[index])}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As they are given."""
        return self.size, self.size, self.channels

    def name(self, index: int) -> str:
        """Its path in the folder."""
        return self.files[index].relative_to(self.folder).as_posix()

    def __repr__(self) -> str:
        return f"FolderSource({self.folder}, {len(self.files)} files)"


@dataclass(frozen=True)
class TfdsSource(Source):
    """One split of a prepared TFDS data set, its images encoded or as raw pixels."""

    split: str
    records: Records
    size: int
    channels: int
    where: Path

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        stored, label = self.records[index]
        size, channels = self.size, self.channels
        image = (
            decode_image(stored, size, channels) if isinstance(stored, bytes) else fit_pixels(stored, size, channels)
        )
        return {"image": image, "label": np.int32(label)}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As they are given."""
        return self.size, self.size, self.channels

    def name(self, index: int) -> str:
        """The split, and the place in it."""
        return f"{self.split} {index}"

    def __repr__(self) -> str:
        return f"TfdsSource({self.where}, {len(self.records)} records)"


def open_dataset(config: DataConfig, channels: int = 3) -> DataSet:
    """The data set that ``config`` names, with images of ``config.image_size`` pixels and ``channels`` channels.

    Raises UsageError for a name that is not there, AlexNetError for one that cannot be read.
    """
    folder = Path(config.dataset).expanduser()
    if is_image_folder(config.dataset):
        return _open_folder(folder, config, channels)
    if not folder.is_dir() and config.dataset.startswith((".", "~", "/")):
        raise UsageError(
            f"data.dataset is {config.dataset!r}: there is no such folder; name one that holds class folders"
        )
    return _open_tfds(folder if folder.is_dir() else _find_tfds(config), config, channels)


def is_image_folder(dataset: str) -> bool:
    """Whether ``dataset`` names a folder of image files, and not a TFDS set."""
    folder = Path(dataset).expanduser()
    return folder.is_dir() and not _holds_tfds(folder)


# Folders of class folders


def _open_folder(folder: Path, config: DataConfig, channels: int) -> DataSet:
    train = folder / config.train_split
    names = _class_names(train if train.is_dir() else folder)

    def read(part: Path) -> FolderSource:
        return _folder_source(part, names, config.image_size, channels)

    if train.is_dir():
        test = folder / config.test_split
        if not test.is_dir():
            raise AlexNetError(f"{folder}: has {train.name}/ but no {test.name}/; add it, or pass data.test_split")
        validation = read(folder / config.validation_split) if config.validation_split else None
        data = DataSet(read(train), read(test), validation, readable_names(names), folder)
    else:
        if config.validation_split:
            raise UsageError(
                f"data.validation_split is {config.validation_split!r}: {folder} has no {train.name}/ beside it"
            )
        rest, held_out = _hold_out(read(folder), config.test_fraction, (config.split_seed, 1))
        data = DataSet(rest, held_out, None, readable_names(names), folder)
    return _with_validation(data, config)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")))
    if len(names) < 2:
        raise AlexNetError(
            f"{folder}: holds {len(names)} class folder(s); make one folder for each class, at least two"
        )
    return names


def _folder_source(folder: Path, names: tuple[str, ...], size: int, channels: int) -> FolderSource:
    if not folder.is_dir():
        raise AlexNetError(f"{folder}: no such folder; make it, or name another split")
    strange = set(_class_names(folder)) - set(names)
    if strange:
        raise AlexNetError(f"{folder}: has a class {min(strange)!r} that the training folder has not; remove it")
    found = [
        (file, label)
        for label, name in enumerate(names)
        for file in sorted((folder / name).glob("**/*"))
        if file.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not found:
        suffixes = ", ".join(sorted(IMAGE_SUFFIXES))
        raise AlexNetError(f"{folder}: its class folders hold no images; put files ending in {suffixes} there")
    files, labels = zip(*found, strict=True)
    return FolderSource(folder, files, labels, size, channels)


# TFDS


def _holds_tfds(folder: Path) -> bool:
    return (folder / "dataset_info.json").exists()


def _data_dirs(config: DataConfig) -> list[Path]:
    if config.data_dir is not None:
        return [Path(config.data_dir).expanduser()]
    import tensorflow_datasets as tfds  # slow to import, and not needed for folders

    return [PACKAGED, Path(tfds.core.constants.DATA_DIR)]


def _find_tfds(config: DataConfig) -> Path:
    """The folder of the newest version, or of the one asked for, of a name, name:version or name/config:version."""
    name, _, version = config.dataset.partition(":")
    places = _data_dirs(config)
    for place in places:
        versions = [entry.parent for entry in (place / name).glob(f"{version or '*'}/dataset_info.json")]
        if versions:
            return max(versions, key=_version_number)
    prepared = {
        str(found.parent.parent.relative_to(place))
        for place in places
        for depth in ("*/*", "*/*/*")
        for found in place.glob(f"{depth}/dataset_info.json")
    }
    searched = " or ".join(str(place) for place in places)
    if name in prepared:
        raise UsageError(f"data.dataset is {config.dataset!r}: {name} is there, but not in that version, in {searched}")
    known = (
        str(unknown_name("data set", config.dataset, prepared)) if prepared else f"unknown data set {config.dataset!r}"
    )
    raise UsageError(
        f"{known} (prepared in {searched}); `alexnet prepare` makes one of ImageNet's tars or a folder, "
        f"`tfds build {name} --file_format=array_record` prepares one of TFDS's, "
        "--data.data_dir names another place, and a path names a folder of class folders"
    )


def _version_number(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in folder.name.split("."))


def _open_tfds(folder: Path, config: DataConfig, channels: int) -> DataSet:
    import tensorflow_datasets as tfds  # slow to import

    try:
        builder = tfds.builder_from_directory(folder)
    except Exception as error:  # TFDS raises whatever its parsers do
        raise AlexNetError(f"{folder}: damaged data set ({first_line(error)}); prepare it again") from error
    if builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD:
        raise AlexNetError(
            f"{folder}: is stored as {builder.info.file_format.value}, which needs TensorFlow; convert it with "
            f"`tfds convert_format --dataset_version_dir={folder} --out_file_format=array_record --out_dir=NEW_FOLDER` "
            "and name the new folder"
        )
    image_key, label_key = find_features(builder.info.features, folder)

    def read(split: str) -> TfdsSource:
        if split.partition("[")[0] not in builder.info.splits:
            raise unknown_name(f"split of {builder.info.full_name}", split, builder.info.splits)
        try:
            records = Records(builder, split, image_key, label_key)
            source = TfdsSource(split, records, config.image_size, channels, folder)
            source[len(source) - 1]  # reads the file's index, and the last record
        except AlexNetError:
            raise
        except Exception as error:  # array_record raises whatever it meets
            raise AlexNetError(f"{folder}: damaged split {split!r} ({first_line(error)}); prepare it again") from error
        return source

    validation = read(config.validation_split) if config.validation_split else None
    names = readable_names(builder.info.features[label_key].names)
    return _with_validation(
        DataSet(read(config.train_split), read(config.test_split), validation, names, folder), config
    )


# Validation


def _with_validation(data: DataSet, config: DataConfig) -> DataSet:
    if config.validation_fraction == 0:
        return data
    train, validation = _hold_out(data.train, config.validation_fraction, (config.split_seed, 0))
    return replace(data, train=train, validation=validation)


def _hold_out(source: Source, share: float, seed: tuple[int, int]) -> tuple[Part, Part]:
    """The rest, and a random ``share`` of at least one example, each in the source's order."""
    order = np.random.default_rng(seed).permutation(len(source))
    held_out = max(1, round(share * len(source)))
    if held_out >= len(source):
        raise UsageError(f"a share of {share} is all of the {len(source)} images: hold out less, or add images")
    return Part(source, np.sort(order[held_out:])), Part(source, np.sort(order[:held_out]))
