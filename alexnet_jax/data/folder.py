"""Folders of class folders with image files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from alexnet_jax.config import DataConfig, Resize
from alexnet_jax.data.folder_layout import IMAGE_SUFFIXES, find_layout, is_image_name, visible_files, visible_folders
from alexnet_jax.data.images import UnreadableImageError, decode_image
from alexnet_jax.data.source import DataSet, Example, Source, hold_out
from alexnet_jax.data.synsets import readable_names
from alexnet_jax.errors import AlexNetError, UsageError, first_few
from alexnet_jax.hints import command
from alexnet_jax.stores.store import Store, url_of

_SUFFIXES_TEXT = ", ".join(IMAGE_SUFFIXES)


@dataclass(frozen=True)
class FolderSource(Source):
    """The image files of one split, with their labels."""

    root: Path
    """The folder of the data set."""
    folder: Path
    """The folder of the split, which holds the class folders."""
    files: tuple[Path, ...]
    labels: tuple[int, ...]
    size: int
    channels: int
    resize: Resize

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Example:
        try:
            image = decode_image(self.files[index], self.size, self.channels, self.resize)
        except UnreadableImageError as error:
            prepare = command("prepare", "folder", "--source", self.root, "--data_dir", "data")
            remedy = f"restore it, or leave all damaged images out with `{prepare}`"
            raise UnreadableImageError(error.where, error.reason, remedy) from error
        return {"image": image, "label": np.int32(self.labels[index])}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(size, size, channels)."""
        return self.size, self.size, self.channels

    def name(self, index: int) -> str:
        """The path relative to the folder of the split."""
        return self.files[index].relative_to(self.folder).as_posix()

    def file_name(self, index: int) -> str:
        """The name of the file."""
        return self.files[index].name

    def stored_bytes(self) -> int:
        """The size of the files."""
        return sum(file.stat().st_size for file in self.files if file.exists())

    def entries(self) -> list[tuple[str, int]]:
        """The paths relative to the folder of the data set, and the labels."""
        start = len(os.fspath(self.root / "x")) - 1
        paths = (os.fspath(file)[start:].replace(os.sep, "/") for file in self.files)
        return list(zip(paths, self.labels, strict=True))

    def __repr__(self) -> str:
        return f"FolderSource({self.folder}, {len(self.files)} files)"


def is_image_folder(dataset: str) -> bool:
    """Whether ``dataset`` is the path or the URL of a folder of class folders, as opposed to a TFDS data set."""
    url = url_of(dataset)
    if url is not None:
        names = Store(url).list()
        return bool(names) and not names.keys() & {"", "dataset_info.json"}
    folder = Path(dataset).expanduser()
    return folder.is_dir() and not (folder / "dataset_info.json").exists()


def open_folder(root: Path, config: DataConfig, channels: int) -> DataSet:
    """The data set in ``root``: class folders, or ``train`` and ``test`` folders that hold them.

    Args:
        root: the folder.
        config: the names of the splits, and the fraction to hold out as the test set if ``root`` has no such folders.
        channels: 3 for RGB, 1 for grey.

    Raises:
        AlexNetError: a split or the images of a split are missing.
        UsageError: ``config`` asks for a validation split that ``root`` cannot have.
    """
    layout = find_layout(root, config)
    class_names = _class_names(layout.train)
    folders = [folder for folder in (layout.train, layout.test, layout.validation) if folder is not None]
    listings = [_list_files(folder, class_names) for folder in folders]
    sources = [_source(root, listing, config, channels) for listing in listings]
    notes = (*layout.notes, *_notes(root, listings))
    names = readable_names(class_names)
    if layout.test is None:
        try:
            rest, held_out = hold_out(sources[0], config.test_fraction, (config.split_seed, 1))
        except UsageError as error:
            raise UsageError(f"{root}: data.test_fraction: {error}") from error
        return DataSet(rest, held_out, None, names, root, notes)
    train, test, *validation = sources
    return DataSet(train, test, validation[0] if validation else None, names, root, notes)


def numbered_classes(root: Path) -> int:
    """One more than the largest number among the class folders of ``root``, if all are numbers, as in ImageNet-V2.

    Otherwise 0.
    """
    names = visible_folders(root)
    is_numbered = all(name.isascii() and name.isdigit() and str(int(name)) == name for name in names)
    return 1 + max(map(int, names), default=-1) if is_numbered else 0


def open_numbered_folder(root: Path, config: DataConfig, channels: int) -> FolderSource:
    """All images in class folders that are named by their labels: ``10`` is label 10, although it sorts before ``2``.

    Raises:
        AlexNetError: there are no images.
    """
    listing = _list_files(root, tuple(map(str, range(numbered_classes(root)))))
    return _source(root, listing, config, channels)


@dataclass(frozen=True)
class _Listing:
    """What the class folders of one split hold."""

    folder: Path
    images: list[tuple[Path, int]] = field(default_factory=list)
    """Image files, by their suffix, and their labels."""
    other_files: list[Path] = field(default_factory=list)
    empty_classes: list[Path] = field(default_factory=list)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(visible_folders(folder))
    if len(names) < 2:
        raise AlexNetError(f"{folder}: has {len(names)} class folder(s); make one folder for each class, at least two")
    return names


def _list_files(folder: Path, class_names: tuple[str, ...]) -> _Listing:
    unknown = set(visible_folders(folder)) - set(class_names)
    if unknown:
        raise AlexNetError(f"{folder}: has a class {min(unknown)!r} that the training folder does not have; remove it")
    listing = _Listing(folder)
    for label, name in enumerate(class_names):
        files = visible_files(folder / name) if (folder / name).is_dir() else []
        images = [(file, label) for file in files if is_image_name(file.name)]
        listing.images.extend(images)
        listing.other_files.extend(file for file in files if not is_image_name(file.name))
        if not images:
            listing.empty_classes.append(folder / name)
    return listing


def _source(root: Path, listing: _Listing, config: DataConfig, channels: int) -> FolderSource:
    if not listing.images:
        raise AlexNetError(
            f"{listing.folder}: its class folders have no images; put files ending in {_SUFFIXES_TEXT} there"
        )
    files, labels = zip(*listing.images, strict=True)
    return FolderSource(root, listing.folder, files, labels, config.image_size, channels, config.resize)


def _notes(root: Path, listings: list[_Listing]) -> Iterator[str]:
    """At most one note: which files are ignored, and which classes have no images."""
    other_files = [file for listing in listings for file in listing.other_files]
    empty_classes = [folder for listing in listings for folder in listing.empty_classes]
    parts = []
    if other_files:
        parts.append(
            f"{len(other_files):,} file(s) ignored ({_first(root, other_files)}); convert them to {_SUFFIXES_TEXT}"
        )
    if empty_classes:
        parts.append(f"{len(empty_classes):,} class folder(s) without images ({_first(root, empty_classes)}); add some")
    if parts:
        yield f"{root}: {', and '.join(parts)}, or remove them"


def _first(root: Path, paths: list[Path]) -> str:
    """The first few of ``paths``, relative to ``root``."""
    return first_few([path.relative_to(root).as_posix() for path in paths])
