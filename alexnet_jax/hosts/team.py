"""The interface between a training loop and the processes that train one net. ``Team`` is a single process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from jaxtyping import PyTree

from alexnet_jax.signals import StopRequest

_Item = TypeVar("_Item")


class Team:
    """A single process.

    Process 0 of a team is the main one: it alone writes to the run directory and speaks to the user. All processes
    make the same calls in the same order.

    Attributes:
        index: the number of this process.
        count: the number of processes.
    """

    index: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is process 0."""
        return self.index == 0

    def from_main(self, tree: PyTree) -> PyTree:
        """The arrays that the main process passes. Those of the others only give shapes and dtypes."""
        return tree

    def text_from_main(self, name: str, text: str) -> str:
        """The ``text`` that the main process passes under this ``name``."""
        del name
        return text

    def stop_request(self) -> StopRequest:
        """Records a signal to any process, and stops all of them at the same call of its ``is_due``."""
        return StopRequest()

    def begins(self, activity: str) -> None:
        """Reports to the other processes what this one starts to do.

        Args:
            activity: such as "reads images". An activity that takes much longer than before ends all processes.
        """

    def reaches(self, step: int) -> None:
        """Tells the other processes how many steps this one has taken."""

    def watch(self, items: Iterable[_Item], activity: str) -> Iterator[_Item]:
        """Yields ``items``. Reports that it reads images before each item, and ``activity`` after it."""
        del activity
        return iter(items)
