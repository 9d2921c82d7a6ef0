"""Handlers for Ctrl-C and SIGTERM. This module imports no heavy package, so that a command can use it first."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)

_Handler = Callable[[int, FrameType | None], None]


@contextlib.contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """A context in which Ctrl-C ends the process immediately, with status 130 and one line.

    By default Ctrl-C raises KeyboardInterrupt. Python discards that exception if it arises in a callback, such as
    those of the import system, and the program continues. Use this where no work can be lost: imports and set-up.
    """
    previous = _install((signal.SIGINT,), _exit)
    try:
        yield
    finally:
        _restore(previous)


class StopRequest:
    """A context manager that records Ctrl-C or SIGTERM, so that a loop can stop between two steps.

    A second signal raises KeyboardInterrupt.

    Attributes:
        signal: the number of the signal that arrived, or None.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        self._previous = _install(_STOP_SIGNALS, self._record)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _restore(self._previous)

    def _record(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


def _install(numbers: tuple[int, ...], handler: _Handler) -> dict[int, Any]:
    """Returns the previous handlers. Does nothing in a thread, because only the main thread handles signals."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in numbers}


def _restore(previous: dict[int, Any]) -> None:
    for number, handler in previous.items():
        signal.signal(number, handler)


def _exit(number: int, frame: FrameType | None) -> None:
    os.write(2, b"alexnet: interrupted\n")  # print would fail if the signal arrives inside another print
    os._exit(128 + number)
