"""ILSVRC2012 in its two official tars, which are read without unpacking.

The training tar holds one tar for each synset, ``n01440764.tar`` with ``n01440764_10026.JPEG`` and so on; the
validation tar holds ``ILSVRC2012_val_00000001.JPEG`` to ``ILSVRC2012_val_00050000.JPEG``.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np

from alexnet_jax.config import Resize
from alexnet_jax.data.images import decode_image
from alexnet_jax.data.prepare.collection import Collection, Item, Portion, fingerprint
from alexnet_jax.data.source import Example
from alexnet_jax.errors import AlexNetError, first_line

TRAINING_TAR = "ILSVRC2012_img_train.tar"
VALIDATION_TAR = "ILSVRC2012_img_val.tar"
IMAGES_PER_SYNSET = 1300
"""The largest number of training images of a synset, which most synsets have."""
_MOST_NAMED = 5


def collect_imagenet2012(
    source: Path, image_size: int, images_per_shard: int, validation_only: bool = False, resize: Resize = "crop"
) -> Collection:
    """The training and validation images of the tars, with the labels of TFDS's imagenet2012.

    Missing synsets are remarks of the collection.

    Args:
        source: the directory with the tars.
        image_size: side of the decoded images in pixels.
        images_per_shard: the approximate number of images in a shard.
        validation_only: whether to leave out the training images. Their tar is then not needed.
        resize: how images become squares (``decode_image``).

    Raises:
        AlexNetError: a tar is missing, truncated, or not the official one.
    """
    synsets = _tfds_lines("labels.txt")
    train = source / TRAINING_TAR
    synset_tars = [] if validation_only else _synset_tars(_existing(train), set(synsets))
    validation = _existing(source / VALIDATION_TAR)
    validation_images = _validation_images(validation)
    labels = {synset: label for label, synset in enumerate(synsets)}
    decode = partial(decode_image, size=image_size, channels=3, resize=resize)
    validation_labels = [labels[synset] for synset in _tfds_lines("validation_labels.txt")]

    def train_items(tars: list[tarfile.TarInfo]) -> Iterator[Item]:
        return _train_items(train, tars, labels, decode)

    def validation_items(images: list[_Image]) -> Iterator[Item]:
        for name, number, offset, size in images:
            yield Item(name, partial(_read, validation, offset, size, validation_labels[number - 1], decode))

    splits = {
        "train": tuple(
            Portion(len(tars) * IMAGES_PER_SYNSET, partial(train_items, tars))
            for tars in _slices(synset_tars, max(1, images_per_shard // IMAGES_PER_SYNSET))
        ),
        "validation": tuple(
            Portion(len(images), partial(validation_items, images))
            for images in _slices(validation_images, images_per_shard)
        ),
    }
    if validation_only:
        del splits["train"]
    missing = [] if validation_only else _missing_synsets(synsets, synset_tars)
    return Collection(
        class_names=tuple(synsets),
        splits=splits,
        fingerprint=fingerprint(
            images_per_shard, *((tar.name, tar.size, tar.offset) for tar in synset_tars), *validation_images
        ),
        description="ILSVRC2012 from the official tars, in the order of the tars, labelled as TFDS's imagenet2012.",
        remarks=tuple(_remarks(missing, len(validation_images), len(validation_labels))),
        homepage="https://image-net.org/",
    )


_Decode = Callable[[bytes], np.ndarray]

_Image = tuple[str, int, int, int]
"""Name, number, offset in the tar, and size in bytes."""


def _tfds_lines(name: str) -> list[str]:
    import tensorflow_datasets as tfds  # slow to import

    return tfds.core.tfds_path(f"datasets/imagenet2012/{name}").read_text(encoding="utf-8").split()


def _existing(tar: Path) -> Path:
    if not tar.is_file():
        without = ", or use --validation_only" if tar.name == TRAINING_TAR else ""
        raise AlexNetError(f"{tar.parent}: has no {tar.name}; get it from image-net.org and do not unpack it{without}")
    return tar


def _slices(entries: list, length: int) -> Iterator[list]:
    return (entries[start : start + length] for start in range(0, len(entries), length))


def _synset_tars(train: Path, synsets: set[str]) -> list[tarfile.TarInfo]:
    with train.open("rb") as file:
        tars = list(_members(file, str(train)))
    for tar in tars:
        name = PurePosixPath(tar.name)
        if name.suffix != ".tar":
            raise AlexNetError(f"{train}: holds {name} and not a tar for each synset; is it {TRAINING_TAR}?")
        if name.stem not in synsets:
            raise AlexNetError(
                f"{train}: holds {name}, which is not one of the 1,000 synsets of ILSVRC2012; use its training tar for "
                "classification (Task 1 & 2)"
            )
    return tars


def _validation_images(validation: Path) -> list[_Image]:
    with validation.open("rb") as file:
        return [
            (name, _validation_number(validation, name), member.offset_data, member.size)
            for member in _members(file, str(validation))
            for name in [PurePosixPath(member.name).name]
        ]


def _validation_number(validation: Path, name: str) -> int:
    """The number of an image in the official list of labels, which is in its name."""
    match = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.JPEG", name)
    if match is None or not 1 <= int(match[1]) <= 50_000:
        raise AlexNetError(f"{validation}: holds {name}, which is not a validation image; is it {VALIDATION_TAR}?")
    return int(match[1])


def _members(file: IO[bytes], where: str) -> Iterator[tarfile.TarInfo]:
    """The files in a tar.

    tarfile treats a damaged header as the end of the tar, so this function checks for the end-of-archive block.

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


def _train_items(train: Path, tars: list[tarfile.TarInfo], labels: dict[str, int], decode: _Decode) -> Iterator[Item]:
    with tarfile.open(train, "r:") as outer:
        for tar in tars:
            synset = PurePosixPath(tar.name).stem
            inner = outer.extractfile(tar)
            assert inner is not None  # only a directory has no content
            for member in _members(inner, f"{train}: {tar.name}"):
                name = PurePosixPath(member.name).name
                if not name.startswith(f"{synset}_"):
                    raise AlexNetError(f"{train}: {tar.name} holds {name} of another synset; download it again")
                offset = tar.offset_data + member.offset_data
                yield Item(name, partial(_read, train, offset, member.size, labels[synset], decode))


def _read(tar: Path, offset: int, size: int, label: int, decode: _Decode) -> Example:
    with tar.open("rb") as file:  # each thread needs its own file position
        file.seek(offset)
        return {"image": decode(file.read(size)), "label": label}


def _missing_synsets(synsets: list[str], tars: list[tarfile.TarInfo]) -> list[str]:
    present = {PurePosixPath(tar.name).stem for tar in tars}
    return [synset for synset in synsets if synset not in present]


def _remarks(missing: list[str], found: int, of: int) -> Iterator[str]:
    if missing:
        more = ", ..." if len(missing) > _MOST_NAMED else ""
        yield f"{len(missing)} of 1,000 synsets have no training images: {', '.join(missing[:_MOST_NAMED])}{more}"
    if found < of:
        yield f"{of - found:,} of {of:,} validation images are missing"
