"""Sources of examples by index, and data sets that consist of them."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_jax.errors import UsageError

Example = dict[str, Any]
"""``image``: uint8 (size, size, channels); ``label``: int32."""


class Source(ABC):
    """Decoded examples by index, in a fixed order. Grain requires a ``repr`` that identifies the examples."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Example:
        """The decoded example at ``index``."""

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """The shape of every image: (size, size, channels)."""

    @property
    def example_bytes(self) -> int:
        """The bytes of an example in a batch."""
        return math.prod(self.image_shape)

    def read_batch(self, indices: np.ndarray, rows: int) -> Example:
        """The examples at ``indices``, padded to ``rows`` with examples of label -1."""
        from alexnet_jax.batch import PADDING_LABEL  # imports JAX, which --help does not need

        images, labels = np.empty((rows, *self.image_shape), np.uint8), np.full(rows, PADDING_LABEL, np.int32)
        for row, index in enumerate(indices):  # each image is copied once, right after it is decoded
            example = self[int(index)]
            images[row], labels[row] = example["image"], example["label"]
        images[len(indices) :] = 0
        return {"image": images, "label": labels}

    @abstractmethod
    def name(self, index: int) -> str:
        """A name that identifies the example at ``index`` for a user."""

    def file_name(self, index: int) -> str | None:
        """The name of the image file of the example at ``index``, without folders, or None if it is not known."""
        return None

    def entries(self) -> list[tuple[str, int]] | None:
        """The path of each example in the data set and its label, or None if the examples are not files."""
        return None

    def stored_bytes(self) -> int:
        """About how many bytes the examples take where they are stored."""
        return len(self) * math.prod(self.image_shape)

    def content(self) -> str:
        """What identifies the examples if they are not files, in one line."""
        return f"{len(self):,} examples"


class Wrapper(Source):
    """The base class of sources that read ``source`` in another way. The number and names of examples are the same."""

    source: Source

    def __len__(self) -> int:
        return len(self.source)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As in ``source``."""
        return self.source.image_shape

    def name(self, index: int) -> str:
        """As in ``source``."""
        return self.source.name(index)

    def file_name(self, index: int) -> str | None:
        """As in ``source``."""
        return self.source.file_name(index)

    def stored_bytes(self) -> int:
        """As in ``source``."""
        return self.source.stored_bytes()

    def content(self) -> str:
        """As in ``source``."""
        return self.source.content()


@dataclass(frozen=True)
class Part(Source):
    """The examples of ``source`` at ``indices``."""

    source: Source
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Example:
        return self.source[int(self.indices[index])]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As in ``source``."""
        return self.source.image_shape

    def name(self, index: int) -> str:
        """As in ``source``."""
        return self.source.name(int(self.indices[index]))

    def file_name(self, index: int) -> str | None:
        """As in ``source``."""
        return self.source.file_name(int(self.indices[index]))

    def entries(self) -> list[tuple[str, int]] | None:
        """As in ``source``."""
        entries = self.source.entries()
        return None if entries is None else [entries[index] for index in self.indices]

    def stored_bytes(self) -> int:
        """The bytes of ``source``, scaled by the fraction of its examples."""
        return self.source.stored_bytes() * len(self) // max(1, len(self.source))

    def content(self) -> str:
        """The content of ``source``, and a digest of ``indices``."""
        digest = hashlib.sha256(self.indices.astype("<i8").tobytes()).hexdigest()
        return f"{len(self):,} of {self.source.content()} (choice {digest[:16]})"

    def __repr__(self) -> str:
        return f"Part({self.source!r}, {len(self.indices)} examples)"


@dataclass(frozen=True)
class Relabelled(Wrapper):
    """The examples of ``source`` with other labels: ``labels[label]`` for each ``label`` of at least 0."""

    source: Source
    labels: tuple[int, ...]

    def __getitem__(self, index: int) -> Example:
        example = self.source[index]
        label = int(example["label"])
        return example if label < 0 else example | {"label": np.int32(self.labels[label])}

    def __repr__(self) -> str:
        return f"Relabelled({self.source!r}, {self.labels})"


@dataclass(frozen=True)
class Joined(Source):
    """The examples of ``first``, then those of ``second``. Their images have the same shape."""

    first: Source
    second: Source

    def _at(self, index: int) -> tuple[Source, int]:
        count = len(self.first)
        return (self.first, index) if index < count else (self.second, index - count)

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    def __getitem__(self, index: int) -> Example:
        source, index = self._at(index)
        return source[index]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """As in ``first``."""
        return self.first.image_shape

    def name(self, index: int) -> str:
        """As in ``first`` or ``second``."""
        source, index = self._at(index)
        return source.name(index)

    def __repr__(self) -> str:
        return f"Joined({self.first!r}, {self.second!r})"


@dataclass(frozen=True)
class DataSet:
    """The splits of a data set."""

    train: Source
    test: Source
    validation: Source | None
    class_names: tuple[str, ...]
    where: Path
    """The directory that holds it."""
    notes: tuple[str, ...] = ()
    """What a user should know about it, such as files that were ignored."""


def hold_out(source: Source, fraction: float, seed: tuple[int, int]) -> tuple[Part, Part]:
    """Splits ``source`` at random. Both parts keep its order.

    If the examples are files, the first part keeps at least one example of each class.

    Args:
        source: the examples to split.
        fraction: about the fraction of the examples in the second part, which has at least one.
        seed: the random seed of the choice.

    Raises:
        UsageError: nothing is left for the first part.
    """
    order = np.random.default_rng(seed).permutation(len(source))
    count = max(1, round(fraction * len(source)))
    if count >= len(source):
        raise UsageError(f"a fraction of {fraction} is all of the {len(source)} images: hold out less, or add images")
    held_out = _without_whole_classes(source, order, count)
    if not held_out.size:
        raise UsageError(
            "nothing can be held out, because each class has one image: add images, or sort them into train/ and test/"
        )
    rest = np.setdiff1d(order, held_out)
    return Part(source, rest), Part(source, np.sort(held_out))


def _without_whole_classes(source: Source, order: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` of ``order``, except for one example of each class that would otherwise have none left."""
    held_out, entries = order[:count], source.entries()
    if entries is None:
        return held_out
    labels = np.array([label for _, label in entries])
    rest = set(labels[order[count:]].tolist())
    keeps = []
    for index in held_out:
        keeps.append(int(labels[index]) in rest)
        rest.add(int(labels[index]))
    return held_out[keeps]
