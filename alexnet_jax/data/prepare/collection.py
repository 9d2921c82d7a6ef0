"""The images to prepare, by split, in portions of one shard each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from alexnet_jax.data.source import DataSet, Example, Source


@dataclass(frozen=True)
class Item:
    """One image that is not read yet."""

    name: str
    read: Callable[[], Example]
    """Reads and decodes it, on any thread. Raises UnreadableImageError if it is damaged."""


@dataclass(frozen=True)
class Portion:
    """The images of one shard."""

    images: int
    """Their number, or an estimate of it."""
    items: Callable[[], Iterable[Item]]
    """Lists them in order."""


@dataclass(frozen=True)
class Collection:
    """The images of a source by split."""

    class_names: tuple[str, ...]
    splits: dict[str, tuple[Portion, ...]]
    fingerprint: str
    """Equal for two collections of the same images in the same portions."""
    description: str
    remarks: tuple[str, ...] = ()
    """What a user should know about the source, such as missing classes."""
    homepage: str | None = None


def collect_dataset(data: DataSet, images_per_shard: int) -> Collection:
    """The images of a data set: ``train``, ``test``, and ``validation`` if it has one."""
    sources = {"train": data.train, "test": data.test, "validation": data.validation}
    splits = {split: source for split, source in sources.items() if source is not None}
    names = (source.name(index) for source in splits.values() for index in range(len(source)))
    return Collection(
        class_names=data.class_names,
        splits={split: tuple(_portions(source, images_per_shard)) for split, source in splits.items()},
        fingerprint=fingerprint(images_per_shard, *data.class_names, *map(len, splits.values()), *names),
        description=f"The images of {data.where.name}, prepared by alexnet_jax.",
        remarks=data.notes,
    )


def _portions(source: Source, images_per_shard: int) -> Iterator[Portion]:
    for start in range(0, len(source), images_per_shard):
        indices = range(start, min(start + images_per_shard, len(source)))
        yield Portion(len(indices), partial(_items, source, indices))


def _items(source: Source, indices: range) -> Iterator[Item]:
    for index in indices:
        yield Item(source.name(index), partial(source.__getitem__, index))


def fingerprint(*facts: object) -> str:
    """The SHA-256 of ``facts``."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(f"{fact}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
