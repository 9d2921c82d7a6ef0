"""Names for the 1,000 WordNet synsets of ILSVRC2012: "tench" and not n01440764."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

_FILE = Path(__file__).with_name("synset_names.txt")


@functools.cache
def synset_names() -> dict[str, str]:
    """An English name for each synset id, in the order of the labels, which is that of the ids."""
    lines = _FILE.read_text().splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith("#"))


def readable_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """``class_names``, in words where all of them are synset ids."""
    known = synset_names()
    if all(name in known for name in class_names):
        return tuple(known[name] for name in class_names)
    return tuple(class_names)
