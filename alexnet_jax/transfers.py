"""A progress bar for copies over a network, and locks between processes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from alexnet_jax.errors import UsageError

Report = Callable[[int, int | None], None]
"""Called with the bytes so far and all bytes, if they are known."""


@contextlib.contextmanager
def transfer_bar(name: str, what: str, progress: bool) -> Iterator[Report]:
    """A context with a bar in a terminal, and one line elsewhere, on standard error.

    Args:
        name: what the bar calls the copy.
        what: the line.
        progress: whether to show anything.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if progress and not console.is_terminal:
        print(what, file=sys.stderr)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not progress or not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def only_process(lock: Path, waiting: str | None) -> Iterator[None]:
    """A context in which only this process of a machine has the lock. Waits for it.

    Args:
        lock: the file of the lock, in a directory that exists.
        waiting: a line to print on standard error before waiting, or None.
    """
    file = FileLock(lock)
    try:
        file.acquire(timeout=0)
    except Timeout:
        if waiting is not None:
            print(waiting, file=sys.stderr)
        file.acquire()
    try:
        yield
    finally:
        file.release()


@contextlib.contextmanager
def only_process_or_refuse(lock: Path, refusal: str) -> Iterator[None]:
    """A context in which only this process of a machine has the lock. Does not wait for it.

    Args:
        lock: the file of the lock, in a directory that exists.
        refusal: the message of the error.

    Raises:
        UsageError: another process has the lock.
    """
    file = FileLock(lock)
    try:
        file.acquire(timeout=0)
    except Timeout as error:
        raise UsageError(refusal) from error
    try:
        yield
    finally:
        file.release()
