"""The form of ImageNet's official tars, which are read without unpacking.

A training tar holds one tar for each synset, ``n01440764.tar`` with ``n01440764_10026.JPEG`` and so on. The tar of
another split holds numbered images, such as ``ILSVRC2012_val_00000001.JPEG``.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from alexnet_jax.data.prepare.collection import Item, Portion
from alexnet_jax.data.source import Example
from alexnet_jax.errors import AlexNetError, first_line

Decode = Callable[[str, bytes], np.ndarray]
"""Makes the pixels of an image from its name and its content."""

NumberedImage = tuple[str, int, int, int]
"""Name, number, offset in the tar, and size in bytes."""

_MOST_NAMED = 5


def existing(file: Path, advice: str = "") -> Path:
    """Returns ``file`` if it exists.

    Args:
        file: one of the official files.
        advice: what else the user can do if it is missing, for the end of the message.

    Raises:
        AlexNetError: it does not exist.
    """
    if not file.is_file():
        raise AlexNetError(f"{file.parent}: has no {file.name}; get it from image-net.org and do not unpack it{advice}")
    return file


def members(file: IO[bytes], where: str) -> Iterator[tarfile.TarInfo]:
    """The files in a tar.

    tarfile treats a damaged header as the end of the tar, so this function checks for the end-of-archive block.

    Args:
        file: the tar.
        where: its name in messages.

    Raises:
        AlexNetError: it is not a tar, or it is truncated or damaged.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                if member.isfile():
                    yield member
            file.seek(tar.offset)
    except tarfile.TarError as error:
        raise AlexNetError(f"{where}: truncated, or not a tar ({first_line(error)}); download it again") from error
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise AlexNetError(f"{where}: truncated or damaged at byte {tar.offset:,}; download it again")


def list_synset_tars(train: Path, synsets: Sequence[str], challenge: str) -> list[tarfile.TarInfo]:
    """The tars in a training tar.

    Args:
        train: the training tar.
        synsets: the WordNet IDs of the classes.
        challenge: the challenge's name in messages.

    Raises:
        AlexNetError: it holds something else.
    """
    known = set(synsets)
    with train.open("rb") as file:
        tars = list(members(file, str(train)))
    for tar in tars:
        name = PurePosixPath(tar.name)
        if name.suffix != ".tar":
            raise AlexNetError(f"{train}: holds {name} and not a tar for each synset; is it {train.name}?")
        if name.stem not in known:
            raise AlexNetError(
                f"{train}: holds {name}, which is not one of the {len(known):,} synsets of {challenge}; use its "
                "training tar"
            )
    return tars


def list_numbered_images(tar: Path, prefix: str, split: str, count: int) -> list[NumberedImage]:
    """The images of a validation or test tar.

    Args:
        tar: the tar.
        prefix: the names of the images without their numbers, such as ``ILSVRC2012_val``.
        split: the split's name in messages.
        count: the official number of images, which is the largest number in a name.

    Raises:
        AlexNetError: it holds something else.
    """

    def number(name: str) -> int:
        match = re.fullmatch(rf"{prefix}_(\d{{8}})\.JPEG", name)
        if match is None or not 1 <= int(match[1]) <= count:
            raise AlexNetError(
                f"{tar}: holds {name}, which is not a {split} image, {prefix}_00000001.JPEG to "
                f"{prefix}_{count:08d}.JPEG; is it {tar.name}?"
            )
        return int(match[1])

    with tar.open("rb") as file:
        return [
            (name, number(name), member.offset_data, member.size)
            for member in members(file, str(tar))
            for name in [PurePosixPath(member.name).name]
        ]


def training_portions(
    train: Path,
    tars: Sequence[tarfile.TarInfo],
    synsets: Sequence[str],
    decode: Decode,
    images_per_synset: int,
    images_per_shard: int,
) -> tuple[Portion, ...]:
    """The images of the synset tars, in the order of the tars.

    Args:
        train: the training tar.
        tars: its synset tars.
        synsets: the WordNet ID of each label.
        decode: decodes an image.
        images_per_synset: an estimate.
        images_per_shard: the approximate number of images in a shard, which holds whole synsets.
    """
    labels = {synset: label for label, synset in enumerate(synsets)}
    return tuple(
        Portion(len(part) * images_per_synset, partial(_training_items, train, part, labels, decode))
        for part in _slices(tars, max(1, images_per_shard // images_per_synset))
    )


def numbered_portions(
    tar: Path, images: Sequence[NumberedImage], labels: Sequence[int], decode: Decode, images_per_shard: int
) -> tuple[Portion, ...]:
    """The images of a validation or test tar, in the order of the tar.

    Args:
        tar: the tar.
        images: its images.
        labels: the labels of all images of the split, in the order of their numbers.
        decode: decodes an image.
        images_per_shard: the number of images in a shard.
    """
    return tuple(
        Portion(len(part), partial(_numbered_items, tar, part, labels, decode))
        for part in _slices(images, images_per_shard)
    )


def synset_remarks(synsets: Sequence[str], tars: Sequence[tarfile.TarInfo]) -> Iterator[str]:
    """Says which of ``synsets`` have no tar, if any."""
    present = {PurePosixPath(tar.name).stem for tar in tars}
    missing = [synset for synset in synsets if synset not in present]
    if missing:
        more = ", ..." if len(missing) > _MOST_NAMED else ""
        yield (
            f"{len(missing)} of {len(synsets):,} synsets have no training images: "
            f"{', '.join(missing[:_MOST_NAMED])}{more}"
        )


def count_remarks(split: str, found: int, official: int) -> Iterator[str]:
    """Says how many images of ``split`` are missing, if any."""
    if found < official:
        yield f"{official - found:,} of {official:,} {split} images are missing"


def _slices(entries: Sequence, length: int) -> Iterator[Sequence]:
    return (entries[start : start + length] for start in range(0, len(entries), length))


def _training_items(
    train: Path, tars: Sequence[tarfile.TarInfo], labels: Mapping[str, int], decode: Decode
) -> Iterator[Item]:
    with tarfile.open(train, "r:") as outer:
        for tar in tars:
            synset = PurePosixPath(tar.name).stem
            inner = outer.extractfile(tar)
            assert inner is not None  # only a directory has no content
            for member in members(inner, f"{train}: {tar.name}"):
                name = PurePosixPath(member.name).name
                if not name.startswith(f"{synset}_"):
                    raise AlexNetError(f"{train}: {tar.name} holds {name} of another synset; download it again")
                yield _item(train, name, tar.offset_data + member.offset_data, member.size, labels[synset], decode)


def _numbered_items(
    tar: Path, images: Sequence[NumberedImage], labels: Sequence[int], decode: Decode
) -> Iterator[Item]:
    for name, number, offset, size in images:
        yield _item(tar, name, offset, size, labels[number - 1], decode)


def _item(tar: Path, name: str, offset: int, size: int, label: int, decode: Decode) -> Item:
    def read() -> Example:
        with tar.open("rb") as file:  # each thread needs its own file position
            file.seek(offset)
            return {"image": decode(name, file.read(size)), "label": label}

    return Item(name, read)
