"""Where the splits of a folder of images are: in ``train`` and ``test`` folders, or all images in class folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from alexnet_jax.config import DataConfig
from alexnet_jax.errors import AlexNetError, UsageError

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
"""The suffixes of image files, in lower case."""

_USUAL_NAMES = (("train", "training"), ("test", "testing"), ("val", "valid", "validation"))
"""The usual names of each split, in any case."""


@dataclass(frozen=True)
class Layout:
    """The folders of the splits, each with the class folders."""

    train: Path
    test: Path | None
    """None if the test images are held out of the training images."""
    validation: Path | None
    notes: tuple[str, ...] = ()


def find_layout(root: Path, config: DataConfig) -> Layout:
    """Finds the folders of the splits in ``root``.

    ``config`` names them. Without such a folder, one with another usual name is taken, such as ``Training`` for
    ``train``. A folder ``train`` without class folders is a class itself.

    Raises:
        AlexNetError: a split has no folder, or a folder may be a split or a class.
        UsageError: ``config`` names a split that ``root`` does not have.
    """
    names = visible_folders(root)
    train, test, validation = (_find(root, names, split) for split in (config.train_split, config.test_split, "val"))
    if train is None or _is_class(root / train, has_others=test is not None or validation is not None):
        return _without_splits(root, names, config)
    if test is None:
        other = _find(root, names, "test") or validation
        add = f"add it, pass --data.test_split{'' if other is None else f' {other}'}"
        raise AlexNetError(
            f"{root}: has {train}/ but no {config.test_split}/; {add}, or rename {train}/ if it is a class"
        )
    if config.validation_split is None:
        is_unused = validation not in (None, train, test)
        note = f"{root}: {validation}/ is not used; train with --data.validation_split {validation} to validate on it"
        return Layout(root / train, root / test, None, (note,) if is_unused else ())
    chosen = _find(root, names, config.validation_split)
    if chosen is None:
        raise UsageError(f"data.validation_split is {config.validation_split!r}: {root} has no such folder")
    return Layout(root / train, root / test, root / chosen)


def visible_folders(folder: Path) -> list[str]:
    """The names of the folders in ``folder`` that are not hidden, in order.

    Raises:
        AlexNetError: ``folder`` cannot be read.
    """
    try:
        return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise _unreadable(error) from error


def visible_files(folder: Path) -> list[Path]:
    """The files in ``folder`` and in its folders, in order, without hidden files and folders.

    Raises:
        AlexNetError: a folder cannot be read.
    """

    def fail(error: OSError) -> NoReturn:
        raise _unreadable(error) from error

    files: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files.extend(Path(place, name) for name in names if not name.startswith("."))
    return sorted(files)


def images_in(folder: Path) -> list[Path]:
    """The image files in ``folder`` and in its folders, in order, without hidden files and folders.

    Raises:
        AlexNetError: a folder cannot be read, or there are no images.
    """
    files = [file for file in visible_files(folder) if is_image_name(file.name)]
    if not files:
        raise AlexNetError(f"{folder}: no images in this folder; put files ending in {', '.join(IMAGE_SUFFIXES)} there")
    return files


def _unreadable(error: OSError) -> AlexNetError:
    return AlexNetError(f"{error.filename}: {(error.strerror or 'unreadable').lower()}; make the folder readable")


def _find(root: Path, names: list[str], split: str) -> str | None:
    """The folder ``split`` or, if there is none, the folder with another usual name of that split."""
    if split in names:
        return split
    usual = next((group for group in _USUAL_NAMES if split in group), ())
    found = [name for name in names if name.casefold() in usual]
    if len(found) > 1:
        raise AlexNetError(f"{root}: has {' and '.join(f'{name}/' for name in found)}; rename all but one")
    return found[0] if found else None


def _holds_images(folder: Path) -> bool:
    """Whether there are images directly in ``folder``."""
    return any(map(is_image_name, os.listdir(folder)))


def is_image_name(name: str) -> bool:
    """Whether a file of this name is an image, by its suffix. Hidden files are not images."""
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def _is_class(train: Path, has_others: bool) -> bool:
    """Whether ``train`` is a class and not a split. ``has_others`` says whether there are folders of other splits."""
    if visible_folders(train):
        return not has_others and _holds_images(train)
    if has_others:
        raise AlexNetError(
            f"{train}: has no class folders; sort its images into one for each class, or rename it if it is a class"
        )
    return True


def _without_splits(root: Path, names: list[str], config: DataConfig) -> Layout:
    """``root`` with class folders. Folders of folders that are named like splits are refused."""
    if config.validation_split is not None:
        raise UsageError(f"data.validation_split is {config.validation_split!r}: {root} has no train/ beside it")
    if config.train_split != "train":
        raise UsageError(f"data.train_split is {config.train_split!r}: {root} has no such folder")
    for name in names:
        is_split_name = any(name.casefold() in group for group in _USUAL_NAMES)
        if is_split_name and visible_folders(root / name) and not _holds_images(root / name):
            raise AlexNetError(
                f"{root}: {name}/ holds folders, like a split; put the training images into train/, or rename {name}/ "
                "if it is a class"
            )
    return Layout(root, None, None)
