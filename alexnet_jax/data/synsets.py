"""English names of the 1,000 WordNet synsets of ILSVRC2012, such as "tench" for n01440764."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

_FILE = Path(__file__).with_name("synset_names.txt")


@functools.cache
def synset_names() -> dict[str, str]:
    """The name of each synset id, in the order of the labels."""
    lines = _FILE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("\t") for line in lines if not line.startswith("#"))


def readable_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """``class_names``, or their English names if all of them are synset ids."""
    known = synset_names()
    if all(name in known for name in class_names):
        return tuple(known[name] for name in class_names)
    return tuple(class_names)
