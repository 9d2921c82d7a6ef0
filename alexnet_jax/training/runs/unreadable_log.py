"""Tells the user which training images were skipped, and lists them in the run directory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeVar

from alexnet_jax.config import TrainConfig
from alexnet_jax.data.source import Source
from alexnet_jax.data.unreadable import UnreadableImages, recheck
from alexnet_jax.training.runs.run_directory import RunDirectory

_MOST_NAMED = 5

_Item = TypeVar("_Item")


class UnreadableLog:
    """The training images of a run that cannot be read.

    A resumed run first reads those again that were listed before, so that the same number of images stops it.

    Args:
        source: the training images.
        config: the run, which limits the number of images.
        workdir: the run directory.
        say: called with lines for the user.

    Raises:
        AlexNetError: too many images cannot be read.
    """

    def __init__(self, source: Source, config: TrainConfig, workdir: RunDirectory, say: Callable[[str], None]) -> None:
        fraction = config.data.max_unreadable
        remedy = f"restore them, or raise --data.max_unreadable, which is {fraction:g}"
        self.images = UnreadableImages(source, math.ceil(fraction * len(source)), remedy)
        self._workdir, self._say, self._reported = workdir, say, 0
        listed = workdir.read_unreadable()
        if listed:
            recheck(source, listed, self.images)
            workdir.write_unreadable(self.images.found())

    def watch(self, items: Iterator[_Item]) -> Iterator[_Item]:
        """Passes ``items`` on, and reports the images that were found unreadable meanwhile."""
        try:
            for item in items:
                self._report()
                yield item
        finally:
            self._report()

    def summarize(self) -> None:
        """Says how many images were skipped, if any were."""
        found = len(self.images.found())
        if found:
            self._say(f"note      skipped {found:,} unreadable training image(s), listed in {self._workdir.unreadable}")

    def _report(self) -> None:
        found = self.images.found()
        if len(found) == self._reported:
            return
        self._workdir.write_unreadable(found)
        for position, (name, reason) in enumerate(found.items()):
            if self._reported <= position < _MOST_NAMED:
                self._say(f"note      {name} cannot be read ({reason}); the next image takes its place")
        if self._reported <= _MOST_NAMED < len(found):
            self._say(f"note      more images cannot be read, listed in {self._workdir.unreadable}")
        self._reported = len(found)
