"""The command, run in this process."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from pathlib import Path
from unittest import mock

import pytest

from alexnet_jax.__main__ import main


@dataclasses.dataclass(frozen=True)
class Done:
    """The result of a command."""

    returncode: int
    stdout: str
    stderr: str


def alexnet(*arguments: object, cwd: Path | None = None) -> Done:
    """Runs the command to its end in this process, which has imported and compiled already."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.multiple(sys, argv=["alexnet", *map(str, arguments)], unraisablehook=sys.unraisablehook),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        contextlib.chdir(cwd or Path.cwd()),
        pytest.raises(SystemExit) as leaving,
    ):
        main()
    return Done(leaving.value.code or 0, out.getvalue(), errors.getvalue())
