"""The ``--json`` flag, which means the same in every command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import tyro

from alexnet_jax.errors import UsageError
from alexnet_jax.files import replace_file

STDOUT = "-"

JsonPath = Annotated[str | None, tyro.conf.arg(metavar="PATH|-")]
"""The type of the flag."""


def check_json_path(path: str | None) -> None:
    """Checks before the work that the file can be written after it.

    Raises:
        UsageError: the directory of ``path`` does not exist.
    """
    if path not in (None, STDOUT) and not Path(path).parent.is_dir():
        raise UsageError(f"--json is {path}: there is no directory {Path(path).parent}")


def write_json(value: Any, path: str | None) -> bool:
    """Writes ``value`` to a file, or prints it for ``-``. Does nothing for None.

    Returns:
        Whether standard output is free for text.
    """
    if path is None:
        return True
    text = json.dumps(value, indent=2)
    if path == STDOUT:
        print(text)
        return False
    replace_file(Path(path), text + "\n")
    return True
