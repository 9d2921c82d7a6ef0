"""How fast a run goes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

_Batch = TypeVar("_Batch")


class Pace:
    """A clock over the steps since ``restart``, and over the part of that time in which the loop waited for batches."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Counts from now on."""
        self._began = time.monotonic()
        self._waited = 0.0

    def watch(self, batches: Iterable[_Batch]) -> Iterator[_Batch]:
        """``batches``, each with the time until it came added to what was waited."""
        asked = time.monotonic()
        for batch in batches:
            self._waited += time.monotonic() - asked
            yield batch
            asked = time.monotonic()

    def images_per_second(self, images: int) -> float:
        """The rate at which ``images`` went by."""
        return images / (time.monotonic() - self._began)

    def input_wait(self) -> float:
        """The share of the time that was waited for batches."""
        return self._waited / (time.monotonic() - self._began)
