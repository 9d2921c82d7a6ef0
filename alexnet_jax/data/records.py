"""The stored records of a prepared TFDS data set: an image and its label by index."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_jax.errors import AlexNetError


def find_features(features: Any, supervised_keys: Any, directory: Path) -> tuple[str, str]:
    """The names of the features of the image and its label.

    If several fit, those among the supervised keys are preferred, then ``image`` and ``label``, then the first in
    alphabetical order: protobuf reads the features in a random order.

    Args:
        features: the features of the data set.
        supervised_keys: those of the data set, or None.
        directory: the directory of the data set, for errors.

    Raises:
        AlexNetError: the data set has no such feature.
    """
    import tensorflow_datasets as tfds  # slow to import

    known = dict(features.items())
    supervised = supervised_keys if isinstance(supervised_keys, tuple) else ()
    preferred = [key for key in (*supervised, "image", "label") if isinstance(key, str) and key in known]

    def first(fits: Callable[[Any], bool]) -> str | None:
        return next((key for key in (*preferred, *sorted(known)) if fits(known[key])), None)

    image_key = first(lambda feature: isinstance(feature, tfds.features.Image)) or first(_holds_pixels)
    label_key = first(lambda feature: isinstance(feature, tfds.features.ClassLabel))
    if image_key is None and (planes := first(_is_stack_of_planes)) is not None:
        channels = features[planes].shape[-1]
        raise AlexNetError(f"{directory}: {planes} has {channels} channels of raw pixels; store 3 (RGB) or 1 (grey)")
    if image_key is None or label_key is None:
        missing = "image" if image_key is None else "class label"
        raise AlexNetError(f"{directory}: has no {missing} among its features; use a data set for image classification")
    return image_key, label_key


def _holds_pixels(feature: Any) -> bool:
    """Whether a feature has the shape and type of an image, as raw pixels have."""
    return _is_stack_of_planes(feature) and feature.shape[-1] in (1, 3)


def _is_stack_of_planes(feature: Any) -> bool:
    return len(feature.shape or ()) == 3 and feature.np_dtype == np.uint8


class Records:
    """Stored images, encoded or as raw pixels, with their labels, of one split in TFDS's notation.

    TFDS's parser is slow, so it parses only images that are stored as a list of numbers. Protobuf parses images that
    are stored as one byte string.
    """

    def __init__(self, builder: Any, split: str, image_key: str, label_key: str) -> None:
        import tensorflow_datasets as tfds  # slow to import
        from tensorflow_datasets.proto import tf_example_pb2

        self._features, self._image_key, self._label_key = builder.info.features, image_key, label_key
        self._serialized = builder.as_data_source(split, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
        self._parse = tf_example_pb2.Example.FromString
        self._image = self._features[image_key]
        self._encoded = isinstance(self._image, tfds.features.Image)
        form = self._image.get_serialized_info()
        self._is_one_string = isinstance(form, tfds.features.TensorInfo) and form.np_dtype == np.object_
        self._name = f"{builder.info.full_name} {split}"
        self._parts = builder.info.splits[split].file_instructions

    def check_files(self) -> None:
        """Reads the index of the last file by reading a record of it. Raises many types if the file is damaged."""
        last = len(self) - 1
        try:
            self[last]
        except Exception:
            self[len(self) - self._parts[-1].take]  # raises as well, unless only the last record is damaged

    def stored_bytes(self) -> int:
        """About how many bytes the records take."""
        sizes = [os.path.getsize(part.filename) * part.take // part.examples_in_shard for part in self._parts]
        return sum(sizes)

    def content(self) -> str:
        """What identifies the records: the data set, its version, the split, and the sizes of its files."""
        sizes = [os.path.getsize(part.filename) for part in self._parts]
        facts = [
            (os.path.basename(part.filename), size, part.skip, part.take, part.examples_in_shard)
            for part, size in zip(self._parts, sizes, strict=True)
        ]
        digest = hashlib.sha256(repr(facts).encode()).hexdigest()
        return f"{self._name}: {len(self):,} records in files of {sum(sizes):,} bytes (layout {digest[:16]})"

    def file_name(self, index: int) -> str | None:
        """The ``file_name`` of a record, or None if the data set has no such feature."""
        if "file_name" not in self._features:
            return None
        (name,) = self._parse(self._serialized[index]).features.feature["file_name"].bytes_list.value
        return name.decode()

    def __len__(self) -> int:
        return len(self._serialized)

    def __getitem__(self, index: int) -> tuple[bytes | np.ndarray, int]:
        serialized = self._serialized[index]
        if not self._is_one_string:
            example = self._features.deserialize_example_np(serialized)
            return example[self._image_key], int(example[self._label_key])
        values = self._parse(serialized).features.feature
        (image,), (label,) = values[self._image_key].bytes_list.value, values[self._label_key].int64_list.value
        return image if self._encoded else self._image.decode_example_np(image), label
