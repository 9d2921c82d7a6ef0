"""The current task of a command that does several."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console

from alexnet_jax.console.progress import say

_SECONDS_BETWEEN_LINES = 5.0


@contextlib.contextmanager
def showing_activity() -> Iterator[Callable[[str], None]]:
    """Shows the current task on standard error: a live line in a terminal, otherwise a line every few seconds."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status("starting") as status:
            yield status.update
        return
    last = -_SECONDS_BETWEEN_LINES

    def line(text: str) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(console, text)

    yield line
