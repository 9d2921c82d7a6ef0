"""What there is to prepare: the images of each split, in portions that fill one shard each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from alexnet_jax.data.source import DataSet, Example, Source


@dataclass(frozen=True)
class Item:
    """One image, not yet read."""

    name: str
    read: Callable[[], Example]
    """Reads and decodes it; any thread may call it. Raises UnreadableImageError for what is no image."""


@dataclass(frozen=True)
class Portion:
    """The images of one shard."""

    images: int
    """How many; an estimate where the source does not say before it is read."""
    items: Callable[[], Iterable[Item]]
    """Lists them in their order, and finds them as it goes."""


@dataclass(frozen=True)
class Collection:
    """The images of a source, those of one split after those of another."""

    class_names: tuple[str, ...]
    splits: dict[str, tuple[Portion, ...]]
    fingerprint: str
    """Two collections with the same one have the same images in the same portions."""
    description: str
    remarks: tuple[str, ...] = ()
    """What a person should know of the source, such as classes that are missing."""
    homepage: str | None = None


def collect_dataset(data: DataSet, images_per_shard: int) -> Collection:
    """The images of an opened data set: ``train``, ``test`` and, where there is one, ``validation``."""
    sources = {"train": data.train, "test": data.test, "validation": data.validation}
    splits = {split: source for split, source in sources.items() if source is not None}
    names = (source.name(index) for source in splits.values() for index in range(len(source)))
    return Collection(
        class_names=data.class_names,
        splits={split: tuple(_portions(source, images_per_shard)) for split, source in splits.items()},
        fingerprint=fingerprint(images_per_shard, *data.class_names, *map(len, splits.values()), *names),
        description=f"The images of {data.where.name}, prepared by alexnet_jax.",
    )


def _portions(source: Source, images_per_shard: int) -> Iterator[Portion]:
    for start in range(0, len(source), images_per_shard):
        indices = range(start, min(start + images_per_shard, len(source)))
        yield Portion(len(indices), partial(_items, source, indices))


def _items(source: Source, indices: range) -> Iterator[Item]:
    for index in indices:
        yield Item(source.name(index), partial(source.__getitem__, index))


def fingerprint(*facts: object) -> str:
    """A SHA-256 over the ``facts`` in their order."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(f"{fact}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
