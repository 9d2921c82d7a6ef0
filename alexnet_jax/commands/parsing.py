"""What the subcommands share: flags from configs, lines and tables to the terminal."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from typing import Any, TypeVar

import tyro

from alexnet_jax.errors import UsageError

_Arguments = TypeVar("_Arguments")


def parse(
    kind: type[_Arguments] | Callable[..., _Arguments], arguments: list[str], command: str, **options: Any
) -> _Arguments:
    """``arguments`` as a ``kind``; what tyro would say in a box becomes one line.

    Raises UsageError for what does not parse.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(kind, args=arguments, prog=f"alexnet {command}", use_underscores=True, **options)
    except SystemExit as leaving:
        if leaving.code in (0, None):
            raise
        raise UsageError(f"{_one_line(said.getvalue())}; see `alexnet {command} --help`") from None


def _one_line(box: str) -> str:
    """What is wrong, and which options are near, from tyro's box: a title, then parts between horizontal lines."""
    parts = [" ".join(re.sub("[│|]", " ", part).split()) for part in re.split("[╭╮╰╯─+]+|-{3,}", box)]
    _, wrong, *rest = [part for part in parts if part]
    near = [option for part in rest if part.startswith("Perhaps you meant") for option in re.findall(r"--[\w.]+", part)]
    return wrong + (f": did you mean {' or '.join(dict.fromkeys(near[:3]))}?" if near else "")
