"""The synsets and the labels of ILSVRC2010, from its development kit and its lists of labels.

In the files a label is an ``ILSVRC2010_ID``. The IDs 1 to 1,000 are the classes; larger ones are their ancestors in
WordNet. Here, labels follow the convention of ``imagenet2012``: the synsets in the order of their WordNet IDs, from 0.
ILSVRC2012 has other synsets, so the same label need not be the same class in both.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from alexnet_jax.errors import AlexNetError, first_line

CLASSES = 1000
VALIDATION_IMAGES = 50_000
TEST_IMAGES = 150_000
META = "meta.mat"
VALIDATION_GROUND_TRUTH = "ILSVRC2010_validation_ground_truth.txt"


class Labels(NamedTuple):
    """The classes, and the labels of the images that have numbers."""

    synsets: tuple[str, ...]
    """The WordNet ID of each label."""
    validation: tuple[int, ...]
    """The labels of the validation images, in the order of their numbers."""
    test: tuple[int, ...]
    """The labels of the test images, in the order of their numbers."""


def read_labels(devkit: Path, test_ground_truth: Path) -> Labels:
    """Reads the classes and the labels.

    Args:
        devkit: the development kit, a gzipped tar.
        test_ground_truth: the list of the labels of the test images.

    Raises:
        AlexNetError: a file is damaged, or not the official one.
    """
    kit = _read_devkit(devkit)
    classes = _read_synsets(kit[META], f"{devkit}: {META}")
    validation = _read_ids(kit[VALIDATION_GROUND_TRUTH], f"{devkit}: {VALIDATION_GROUND_TRUTH}", VALIDATION_IMAGES)
    test = _read_ids(test_ground_truth.read_bytes(), str(test_ground_truth), TEST_IMAGES)
    synsets = tuple(sorted(classes.values()))
    labels = {number: synsets.index(synset) for number, synset in classes.items()}
    return Labels(synsets, tuple(labels[number] for number in validation), tuple(labels[number] for number in test))


def _read_devkit(archive: Path) -> dict[str, bytes]:
    """The files in ``data/`` of the development kit, by name."""
    files = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if member.isfile() and path.parent.name == "data":
                    file = tar.extractfile(member)
                    assert file is not None  # only a directory has no content
                    files[path.name] = file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise AlexNetError(
            f"{archive}: truncated, or not a gzipped tar ({first_line(error)}); download it again"
        ) from error
    for name in (META, VALIDATION_GROUND_TRUTH):
        if name not in files:
            raise AlexNetError(f"{archive}: has no data/{name}; is it the development kit of ILSVRC2010?")
    return files


def _read_ids(content: bytes, where: str, count: int) -> list[int]:
    """The ILSVRC2010_ID of each image, one per line in the order of the names of the images."""
    words = content.split()
    if len(words) != count:
        raise AlexNetError(f"{where}: has {len(words):,} labels, and {count:,} are expected; download it again")
    for line, word in enumerate(words, 1):
        if not (word.isdigit() and 1 <= int(word) <= CLASSES):
            raise AlexNetError(
                f"{where}: label {line:,} is {word.decode(errors='replace')!r}, and a number from 1 to {CLASSES:,} is "
                "expected; download it again"
            )
    return [int(word) for word in words]


def _read_synsets(content: bytes, where: str) -> dict[int, str]:
    """The WordNet IDs of the classes, by ILSVRC2010_ID."""
    from scipy.io import loadmat  # slow to import

    try:
        entries = loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        synsets = {int(entry["ILSVRC2010_ID"]): str(entry["WNID"]) for entry in entries}
    except Exception as error:  # SciPy's reader raises many types
        raise AlexNetError(
            f"{where}: not a MATLAB file with the ILSVRC2010_ID and the WNID of each synset ({first_line(error)}); "
            "download it again"
        ) from error
    classes = {number: synset for number, synset in synsets.items() if 1 <= number <= CLASSES}
    found = len(set(classes.values()))
    if found != CLASSES:
        raise AlexNetError(
            f"{where}: has {found:,} synsets with IDs from 1 to {CLASSES:,}, and {CLASSES:,} are expected; "
            "download it again"
        )
    return classes
