"""ILSVRC2012 in its two official tars (``imagenet_tars``)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alexnet_jax.config import Resize
from alexnet_jax.data.images import decode_image
from alexnet_jax.data.prepare.collection import Collection, fingerprint
from alexnet_jax.data.prepare.imagenet_tars import (
    count_remarks,
    existing,
    list_numbered_images,
    list_synset_tars,
    numbered_portions,
    synset_remarks,
    training_portions,
)

TRAINING_TAR = "ILSVRC2012_img_train.tar"
VALIDATION_TAR = "ILSVRC2012_img_val.tar"
IMAGES_PER_SYNSET = 1300
"""The largest number of training images of a synset, which most synsets have."""


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
    labels = {synset: label for label, synset in enumerate(synsets)}
    validation_labels = [labels[synset] for synset in _tfds_lines("validation_labels.txt")]

    def decode(name: str, content: bytes) -> np.ndarray:
        return decode_image(content, image_size, 3, resize)

    splits, synset_tars = {}, []
    remarks: list[str] = []
    if not validation_only:
        train = existing(source / TRAINING_TAR, ", or use --validation_only")
        synset_tars = list_synset_tars(train, synsets, "ILSVRC2012's classification task (Task 1 & 2)")
        splits["train"] = training_portions(train, synset_tars, synsets, decode, IMAGES_PER_SYNSET, images_per_shard)
        remarks += synset_remarks(synsets, synset_tars)
    validation = existing(source / VALIDATION_TAR)
    images = list_numbered_images(validation, "ILSVRC2012_val", "validation", len(validation_labels))
    splits["validation"] = numbered_portions(validation, images, validation_labels, decode, images_per_shard)
    remarks += count_remarks("validation", len(images), len(validation_labels))
    return Collection(
        class_names=tuple(synsets),
        splits=splits,
        fingerprint=fingerprint(images_per_shard, *((tar.name, tar.size, tar.offset) for tar in synset_tars), *images),
        description="ILSVRC2012 from the official tars, in the order of the tars, labelled as TFDS's imagenet2012.",
        remarks=tuple(remarks),
        homepage="https://image-net.org/",
    )


def _tfds_lines(name: str) -> list[str]:
    import tensorflow_datasets as tfds  # slow to import

    return tfds.core.tfds_path(f"datasets/imagenet2012/{name}").read_text(encoding="utf-8").split()
