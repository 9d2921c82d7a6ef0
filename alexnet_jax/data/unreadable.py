"""Images that cannot be read: found in test images before the first step, and skipped in training."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.data.images import UnreadableImageError
from alexnet_jax.data.pipeline import evaluation_batches
from alexnet_jax.data.source import DataSet, Example, Source, Wrapper
from alexnet_jax.errors import AlexNetError, first_few

MOST_CHECKED = 2**26
"""The largest size in bytes of a split that is read before the first step, to find damaged images."""


class UnreadableImages:
    """The images of a source that could not be read. Several threads may use it.

    Args:
        source: the images.
        most: the number of them that may be unreadable.
        remedy: what the user can do about more.
    """

    def __init__(self, source: Source, most: int, remedy: str) -> None:
        self._total, self._most, self._remedy = len(source), most, remedy
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def add(self, name: str, reason: str) -> None:
        """Adds an image.

        Raises:
            AlexNetError: too many images cannot be read.
        """
        with self._lock:
            self._reasons[name] = reason
        self.check()

    def found(self) -> dict[str, str]:
        """The reason for each image by its name, in the order in which they were found."""
        with self._lock:
            return dict(self._reasons)

    def check(self) -> None:
        """Raises AlexNetError if too many images cannot be read."""
        reasons = self.found()
        if len(reasons) > self._most:
            named = first_few([f"{name} ({reason})" for name, reason in reasons.items()])
            raise AlexNetError(f"{len(reasons):,} of {self._total:,} images cannot be read: {named}; {self._remedy}")


@dataclass(frozen=True)
class _Reader(Wrapper):
    source: Source
    unreadable: UnreadableImages

    def _read(self, index: int) -> Example | None:
        """The example, or None if it cannot be read, which ``unreadable`` then records."""
        try:
            return self.source[index]
        except UnreadableImageError as error:
            self.unreadable.add(self.source.name(index), error.reason)
            return None


class ReplaceUnreadable(_Reader):
    """``source``, where the next readable example takes the place of one that cannot be read.

    The examples then depend only on which images are readable, and not on when or by which thread they are read.
    """

    def __getitem__(self, index: int) -> Example:
        for offset in range(len(self)):
            example = self._read((index + offset) % len(self))
            if example is not None:
                return example
        raise AlexNetError("no image can be read; restore the data set")


class LeaveOutUnreadable(_Reader):
    """``source``, where examples that cannot be read have the label of padding, which does not count."""

    def __getitem__(self, index: int) -> Example:
        example = self._read(index)
        padding = {"image": np.zeros(self.image_shape, np.uint8), "label": np.int32(PADDING_LABEL)}
        return padding if example is None else example


def recheck(source: Source, names: Iterable[str], unreadable: UnreadableImages) -> None:
    """Reads the images ``names`` of ``source`` again, and adds those that still cannot be read to ``unreadable``.

    Raises:
        AlexNetError: too many images cannot be read.
    """
    wanted = set(names)
    reader = LeaveOutUnreadable(source, unreadable)
    for index in range(len(source)) if wanted else ():
        if source.name(index) in wanted:
            reader[index]


def check_held_out(data: DataSet, remedy: str) -> None:
    """Reads the validation and test images, unless they take more than ``MOST_CHECKED`` bytes.

    Args:
        data: the data set.
        remedy: what the user can do about damaged images.

    Raises:
        AlexNetError: images cannot be read.
    """
    for split, source in (("validation", data.validation), ("test", data.test)):
        if source is None or source.stored_bytes() > MOST_CHECKED:
            continue
        unreadable = UnreadableImages(source, len(source), remedy)
        for _ in evaluation_batches(LeaveOutUnreadable(source, unreadable), min(len(source), 100)):
            pass
        found = unreadable.found()
        if found:
            named = first_few([f"{name} ({found[name]})" for name in sorted(found)])
            raise AlexNetError(
                f"{data.where}: {len(found):,} of {len(source):,} {split} images cannot be read: {named}; {remedy}"
            )
