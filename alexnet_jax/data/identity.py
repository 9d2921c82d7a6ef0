"""What identifies the examples of a data set, without reading them, and how two such identities differ."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

import cattrs

from alexnet_jax.data.source import DataSet, Source
from alexnet_jax.errors import first_few

MOST_FILES = 10_000
"""The largest number of files of a data set whose paths are kept. Larger sets keep a digest for each class."""
_MOST_NAMED = 3


@dataclass(frozen=True)
class ClassIdentity:
    """The examples of one class in a split."""

    count: int
    sha256: str
    """The digest of the paths of its files, in order."""


@dataclass(frozen=True)
class SplitIdentity:
    """The examples of a split, in order."""

    count: int
    content: str
    """The records of a prepared data set. Empty for files."""
    sha256: str
    """The digest of the content and of the paths and labels of the files."""
    classes: tuple[ClassIdentity, ...] = ()
    """The classes in the order of their labels. Empty for records."""
    files: tuple[str, ...] = ()
    """The paths of the files, or empty."""


@dataclass(frozen=True)
class Identity:
    """Equal for two data sets with the same examples in the same splits, wherever they are."""

    classes: tuple[str, ...]
    """The names of the classes in the order of their labels."""
    splits: dict[str, SplitIdentity] = field(default_factory=dict)
    """``train``, ``test``, and ``validation`` if there is one."""

    def to_json(self) -> str:
        """The identity as indented JSON."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Identity:
        """The inverse of ``to_json``.

        Raises:
            ValueError: ``text`` is not the JSON of an identity.
        """
        try:
            return cattrs.structure(json.loads(text), cls)
        except Exception as error:  # cattrs has no common base class
            raise ValueError("not the JSON of a data set's identity") from error


def identify(data: DataSet) -> Identity:
    """The identity of ``data``. Files are identified by their paths in the data set, not by their content."""
    sources = {"train": data.train, "test": data.test, "validation": data.validation}
    present = {split: source for split, source in sources.items() if source is not None}
    keeps_files = sum(map(len, present.values())) <= MOST_FILES
    classes = len(data.class_names)
    return Identity(
        data.class_names, {split: _identify_split(source, classes, keeps_files) for split, source in present.items()}
    )


def _identify_split(source: Source, classes: int, keeps_files: bool) -> SplitIdentity:
    entries = source.entries()
    if entries is None:
        return SplitIdentity(len(source), source.content(), _digest([source.content()]))
    by_class: list[list[str]] = [[] for _ in range(classes)]
    for path, label in entries:
        by_class[label].append(path)
    return SplitIdentity(
        count=len(entries),
        content="",
        sha256=_digest(f"{path}\0{label}" for path, label in entries),
        classes=tuple(ClassIdentity(len(paths), _digest(paths)) for paths in by_class),
        files=tuple(path for path, _ in entries) if keeps_files else (),
    )


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def describe_data_change(old: Identity, new: Identity) -> str | None:
    """What differs between two identities, in one line; None if nothing does."""
    if old.classes != new.classes:
        return "; ".join(_class_changes(old.classes, new.classes))
    changed = [
        split for split in {**old.splits, **new.splits} if _sha256(old.splits, split) != _sha256(new.splits, split)
    ]
    if not changed:
        return None
    if all(_has_files(identity, split) for identity in (old, new) for split in changed):
        return "; ".join(_file_changes(old, new))
    return "; ".join(part for split in changed for part in _split_changes(old, new, split))


def _sha256(splits: dict[str, SplitIdentity], split: str) -> str | None:
    return splits[split].sha256 if split in splits else None


def _has_files(identity: Identity, split: str) -> bool:
    return split not in identity.splits or bool(identity.splits[split].files)


def _class_changes(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    if len(old) == len(new):
        pairs = [(label, *pair) for label, pair in enumerate(zip(old, new, strict=True)) if pair[0] != pair[1]]
        for label, before, after in pairs[:_MOST_NAMED]:
            yield f"class {label} was {before!r} and is now {after!r}"
        if len(pairs) > _MOST_NAMED:
            yield f"{len(pairs) - _MOST_NAMED} more classes differ"
        return
    for verb, names in (("removed", Counter(old) - Counter(new)), ("added", Counter(new) - Counter(old))):
        if names:
            yield f"{_count(len(names), 'class', 'classes')} {verb} ({first_few(list(names))})"


def _file_changes(old: Identity, new: Identity) -> Iterator[str]:
    before, after = (
        {path: split for split, part in identity.splits.items() for path in part.files} for identity in (old, new)
    )
    removed, added = [path for path in before if path not in after], [path for path in after if path not in before]
    for verb, paths in (("removed", removed), ("added", added)):
        if paths:
            yield f"{_count(len(paths), 'image')} {verb} ({first_few(paths)})"
    exposed = [path for path, split in after.items() if split == "test" and before.get(path) == "train"]
    moved = [path for path, split in after.items() if before.get(path, split) != split]
    if exposed:
        yield f"{_count(len(exposed), 'training image')} moved to the test images ({first_few(exposed)})"
    elif moved:
        yield f"{_count(len(moved), 'image')} moved to another split ({first_few(moved)})"
    elif not removed and not added:
        yield "the images have another order"


def _split_changes(old: Identity, new: Identity, split: str) -> Iterator[str]:
    if split not in old.splits or split not in new.splits:
        yield f"{split} images {'removed' if split in old.splits else 'added'}"
        return
    before, after = old.splits[split], new.splits[split]
    if not before.classes or not after.classes:
        yield f"{split} was {before.content or _count(before.count, 'file')} and is now {after.content or 'files'}"
        return
    pairs = zip(old.classes, before.classes, after.classes, strict=True)
    changes = [
        f"{name!r} had {one.count:,} and has {other.count:,}" if one.count != other.count else f"{name!r} has others"
        for name, one, other in pairs
        if one != other
    ]
    yield f"{split} images of {_count(len(changes), 'class', 'classes')} ({first_few(changes)})"


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
