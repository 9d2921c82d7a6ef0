"""ILSVRC2010 in its official files (``imagenet_tars``), whose test set has published labels.

The layout was read from two converters, Fuel's ``ilsvrc2010.py`` and an unofficial builder for TFDS. It was not tested
on the real files.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from alexnet_jax.config import Resize
from alexnet_jax.data.images import UnreadableImageError, decode_image
from alexnet_jax.data.prepare.collection import Collection, fingerprint
from alexnet_jax.data.prepare.imagenet2010_labels import (
    TEST_IMAGES,
    VALIDATION_IMAGES,
    read_labels,
)
from alexnet_jax.data.prepare.imagenet_tars import (
    count_remarks,
    existing,
    list_numbered_images,
    list_synset_tars,
    members,
    numbered_portions,
    synset_remarks,
    training_portions,
)
from alexnet_jax.errors import AlexNetError, first_line

TRAINING_TAR = "ILSVRC2010_images_train.tar"
VALIDATION_TAR = "ILSVRC2010_images_val.tar"
TEST_TAR = "ILSVRC2010_images_test.tar"
PATCHES_TAR = "patch_images.tar"
DEVKIT = "ILSVRC2010_devkit-1.0.tar.gz"
TEST_GROUND_TRUTH = "ILSVRC2010_test_ground_truth.txt"
IMAGES_PER_SYNSET = 1261
"""The mean number of training images of a synset: there are 1,261,406 in 1,000 synsets."""
_PATCHED_SPLITS = ("train", "val", "test")
_GZIP = b"\x1f\x8b"


def collect_imagenet2010(source: Path, image_size: int, images_per_shard: int, resize: Resize = "crop") -> Collection:
    """The training, validation and test images of the tars.

    Images in ``patch_images.tar`` replace the blank ones of the same name. Missing images, synsets and patches are
    remarks of the collection.

    Args:
        source: the directory with the tars, the development kit and the ground truth of the test images.
        image_size: side of the decoded images in pixels.
        images_per_shard: the approximate number of images in a shard.
        resize: how images become squares (``decode_image``).

    Raises:
        AlexNetError: a file is missing, truncated, or not the official one.
    """
    train, validation, test, devkit, test_truth = (
        existing(source / name) for name in (TRAINING_TAR, VALIDATION_TAR, TEST_TAR, DEVKIT, TEST_GROUND_TRUTH)
    )
    labels = read_labels(devkit, test_truth)
    synset_tars = list_synset_tars(train, labels.synsets, "ILSVRC2010")
    validation_images = list_numbered_images(validation, "ILSVRC2010_val", "validation", VALIDATION_IMAGES)
    test_images = list_numbered_images(test, "ILSVRC2010_test", "test", TEST_IMAGES)
    patches = _read_patches(source / PATCHES_TAR)
    decode = partial(_decode, patches=patches, image_size=image_size, resize=resize)
    return Collection(
        class_names=labels.synsets,
        splits={
            "train": training_portions(train, synset_tars, labels.synsets, decode, IMAGES_PER_SYNSET, images_per_shard),
            "validation": numbered_portions(validation, validation_images, labels.validation, decode, images_per_shard),
            "test": numbered_portions(test, test_images, labels.test, decode, images_per_shard),
        },
        fingerprint=fingerprint(
            images_per_shard,
            labels,
            *((tar.name, tar.size, tar.offset) for tar in synset_tars),
            *((name, fingerprint(content)) for name, content in patches.items()),
            *validation_images,
            *test_images,
        ),
        description="ILSVRC2010 from the official tars, in their order; labels in the order of WordNet IDs.",
        remarks=(
            *synset_remarks(labels.synsets, synset_tars),
            *count_remarks("validation", len(validation_images), VALIDATION_IMAGES),
            *count_remarks("test", len(test_images), TEST_IMAGES),
            *([] if patches else [f"{source} has no {PATCHES_TAR}, so the blank images that it replaces stay blank"]),
        ),
        homepage="https://image-net.org/",
    )


def _read_patches(tar: Path) -> dict[str, bytes]:
    """The images in ``patch_images.tar`` by name, which is unique among the splits; none without the tar."""
    if not tar.is_file():
        return {}
    patches = {}
    with tar.open("rb") as file:
        for member in list(members(file, str(tar))):
            path = PurePosixPath(member.name)
            if path.suffix == ".JPEG" and path.parent.name in _PATCHED_SPLITS:
                file.seek(member.offset_data)
                patches[path.name] = file.read(member.size)
    if not patches:
        raise AlexNetError(f"{tar}: holds no JPEG files in folders train, val and test; download it again or remove it")
    return patches


def _decode(name: str, content: bytes, patches: Mapping[str, bytes], image_size: int, resize: Resize) -> np.ndarray:
    content = patches.get(name, content)
    if content.startswith(_GZIP):  # n02487347_1956.JPEG is compressed
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise UnreadableImageError(name, first_line(error)) from error
    return decode_image(content, image_size, 3, resize)
