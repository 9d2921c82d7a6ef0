"""The command, run in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from alexnet_jax.__main__ import main
from alexnet_jax.console import plots


@dataclasses.dataclass(frozen=True)
class Done:
    """The result of a command."""

    returncode: int
    stdout: str
    stderr: str


@contextlib.contextmanager
def _same_signal_handlers() -> Iterator[None]:
    """Restores the handlers that a command which a signal stopped leaves to its process."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _plain_figure(**options: Any) -> Any:
    """``plots.new_figure`` without its constrained layout, which takes half of the time of a plot."""
    from matplotlib.figure import Figure

    return Figure(**options)


def alexnet(*arguments: object, cwd: Path | None = None) -> Done:
    """Runs the command to its end in this process, which has imported and compiled already."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.multiple(sys, argv=["alexnet", *map(str, arguments)], unraisablehook=sys.unraisablehook),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        contextlib.chdir(cwd or Path.cwd()),
        mock.patch.object(plots, "new_figure", _plain_figure),
        _same_signal_handlers(),
        pytest.raises(SystemExit) as leaving,
    ):
        main()
    return Done(leaving.value.code or 0, out.getvalue(), errors.getvalue())
