"""Standard output and standard error of the command. This module imports no heavy package.

Output that cannot be written must not end a training run: the program that reads it may have exited (``| head``, or
``| tee log`` after Ctrl-C), the disk behind it may be full, or the terminal may be gone.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from alexnet_jax.errors import AlexNetError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_SECONDS_TO_WAIT = 2.0
"""How long a tolerant stream waits for a reader that has stopped reading, such as a terminal after Ctrl-S."""


@contextlib.contextmanager
def standard_streams(is_tolerant: bool) -> Iterator[None]:
    """A context in which errors of standard error are ignored, and those of standard output as asked.

    Streams that were replaced, as by ``contextlib.redirect_stdout``, are left alone.

    Args:
        is_tolerant: whether errors of standard output are ignored, too.

    Raises:
        BrokenPipeError: nobody reads standard output, and ``is_tolerant`` is False.
        AlexNetError: standard output cannot be written for another reason, and ``is_tolerant`` is False.
    """
    _open_missing_descriptors()
    if sys.stderr is sys.__stderr__ and sys.stderr is not None:
        sys.stderr = _reopen(sys.stderr, is_tolerant=True)
    if sys.stdout is sys.__stdout__ and sys.stdout is not None:
        sys.stdout = _reopen(sys.stdout, is_tolerant)
    try:
        yield
    finally:
        if sys.stdout is not None:
            sys.stdout.flush()  # so that errors arise here and not when Python exits


def _open_missing_descriptors() -> None:
    """Opens the descriptors 0, 1 and 2 if they are closed.

    Otherwise the next files would get them, and C++ libraries would write their messages into those files.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _reopen(stream: TextIO, is_tolerant: bool) -> TextIO:
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Descriptor(stream.fileno(), is_tolerant)),
        encoding=stream.encoding,
        errors="backslashreplace",  # a name that the encoding lacks is no reason to stop
        line_buffering=bool(stream.line_buffering),
    )


class _Descriptor(io.FileIO):
    """Writes to a file descriptor.

    Args:
        number: the file descriptor.
        is_tolerant: whether to discard what cannot be written. Otherwise the first error is raised, and later output is
            discarded.
    """

    def __init__(self, number: int, is_tolerant: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._is_tolerant = is_tolerant
        self._waits = True

    def write(self, data: ReadableBuffer) -> int:
        data = memoryview(data)
        try:
            return self._write_if_read(data) if self._is_tolerant else self._write(data)
        except OSError as error:
            if self._is_tolerant:
                return len(data)
            self._is_tolerant = True
            if isinstance(error, BrokenPipeError):
                raise
            reason = (error.strerror or type(error).__name__).lower()
            raise AlexNetError(f"standard output: {reason}; write the output elsewhere") from error

    def _write_if_read(self, data: memoryview) -> int:
        """Writes a part that a pipe accepts at once, or discards ``data`` if nobody reads the pipe."""
        _, is_writable, _ = select.select((), (self,), (), _SECONDS_TO_WAIT if self._waits else 0)
        self._waits = bool(is_writable)
        return self._write(data[: select.PIPE_BUF]) if is_writable else len(data)

    def _write(self, data: memoryview) -> int:
        while (written := super().write(data)) is None:  # the descriptor does not block
            select.select((), (self,), ())
        return written
