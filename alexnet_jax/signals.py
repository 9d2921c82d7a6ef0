"""Handlers for Ctrl-C, SIGTERM and SIGHUP. This module imports no heavy package, so that a command can use it first."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType
from typing import Any, ClassVar

SECONDS_BETWEEN_SIGNALS = 2.0
"""Signals that arrive sooner after the first are copies of it. ``uv run``, for example, forwards a signal that its
process group has already received."""

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else []))

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
        _restore(previous, _exit)


class StoppedError(Exception):
    """A signal ended some work before it was complete."""


class StopRequest:
    """A context manager that records Ctrl-C, SIGTERM or SIGHUP, so that a loop can stop between two steps.

    Signals within ``SECONDS_BETWEEN_SIGNALS`` after the first are ignored, also after the end of the context. A later
    one raises KeyboardInterrupt. SIGHUP stays ignored if it was ignored before, as under ``nohup``.

    Attributes:
        signal: the number of the signal that stops the work, or None.
    """

    signals: ClassVar[tuple[int, ...]] = _STOP_SIGNALS

    def __init__(self) -> None:
        self.signal: int | None = None
        self._arrived_at: float | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        self._previous = _install(self.signals, self._record)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.signal is None:  # otherwise a copy of the signal would end the process before it has reported the stop
            _restore(self._previous, self._record)

    def is_due(self) -> bool:
        """Whether the work should stop here."""
        return self.signal is not None

    def check(self) -> None:
        """Raises ``StoppedError`` if the work should stop. For work that can be repeated, such as an evaluation."""
        if self.is_due():
            raise StoppedError

    def _record(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._arrived_at is None:
            self._arrived_at = now
            self._arrives(number)
        elif now - self._arrived_at >= SECONDS_BETWEEN_SIGNALS:
            raise KeyboardInterrupt

    def _arrives(self, number: int) -> None:
        self.signal = number


def ignore_stop_signals() -> None:
    """Ignores Ctrl-C, SIGTERM and SIGHUP from now on.

    Python restores the default handlers while it exits, so that a copy of the signal would change the exit status.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _install(numbers: tuple[int, ...], handler: _Handler) -> dict[int, Any]:
    """Returns the previous handlers. Does nothing in a thread, because only the main thread handles signals."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    previous = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if number == signal.SIGINT or previous[number] != signal.SIG_IGN:
            signal.signal(number, handler)
    return previous


def _restore(previous: dict[int, Any], handler: _Handler) -> None:
    """Restores the ``previous`` handlers of the signals that ``handler`` still handles."""
    for number, old in previous.items():
        if signal.getsignal(number) == handler:
            signal.signal(number, old)


def _exit(number: int, frame: FrameType | None) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"alexnet: interrupted\n")  # print would fail if the signal arrives inside another print
    os._exit(128 + number)
