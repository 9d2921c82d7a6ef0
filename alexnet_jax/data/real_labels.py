"""ReaL, the reassessed labels of the validation images of ILSVRC-2012 (Beyer et al., 2020, arXiv 2006.07159).

``real.json`` is a list with a list of labels for each of the 50,000 images, in the order of their numbers. An image
whose list is empty does not count.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.data.source import Example, Source, Wrapper
from alexnet_jax.data.synsets import synset_names
from alexnet_jax.errors import AlexNetError, first_line

IMAGES = 50_000


def read_real_labels(path: Path) -> tuple[frozenset[int], ...]:
    """The labels of each validation image, 0 to 999 in the order of the synset ids.

    Raises:
        AlexNetError: the file cannot be read, or has another number of images or other labels.
    """
    remedy = "use real.json of google-research/reassessed-imagenet"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AlexNetError(f"{path}: cannot be read as JSON ({first_line(error)}); {remedy}") from error
    if not isinstance(content, list) or len(content) != IMAGES:
        found = f"{len(content):,} entries" if isinstance(content, list) else "no list"
        raise AlexNetError(f"{path}: has {found} instead of a list for each of {IMAGES:,} images; {remedy}")
    classes = len(synset_names())
    for number, labels in enumerate(content, start=1):
        if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < classes for label in labels):
            raise AlexNetError(f"{path}: entry {number:,} is not a list of labels from 0 to {classes - 1}; {remedy}")
    return tuple(map(frozenset, content))


@dataclass(frozen=True, repr=False)
class Numbered(Wrapper):
    """The validation images of ``source``, labelled with their index in ``labels``, or -1 where that has no labels."""

    source: Source
    labels: tuple[frozenset[int], ...]

    def __getitem__(self, index: int) -> Example:
        row = self._row(index)
        return self.source[index] | {"label": np.int32(row if self.labels[row] else PADDING_LABEL)}

    def _row(self, index: int) -> int:
        name = self.source.file_name(index)
        match = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.\w+", name or "")
        if match is None or not 1 <= int(match[1]) <= len(self.labels):
            found = "has no file name" if name is None else f"is {name}"
            raise AlexNetError(
                f"{self.source.name(index)} {found}: ReaL labels need validation images by name, "
                "ILSVRC2012_val_00000001.JPEG and so on; choose them with --split or --dataset"
            )
        return int(match[1]) - 1

    def __repr__(self) -> str:
        return f"Numbered({self.source!r})"
