"""The ``--json`` flag that the commands share, and the check of the pictures that they write."""

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
    """Checks that the JSON file can be made, before a command starts its work.

    Raises:
        UsageError: the directory of ``path`` does not exist, or ``path`` is a directory.
    """
    if path is None or path == STDOUT:
        return
    if not Path(path).parent.is_dir():
        raise UsageError(f"--json is {path}: there is no directory {Path(path).parent}")
    if Path(path).is_dir():
        raise UsageError(f"--json is {path}: is a directory; name a file")


def check_picture_path(path: Path) -> None:
    """Checks that the picture of ``--out`` can be made, before a command starts its work.

    Raises:
        UsageError: it is no PNG file, or its directory does not exist.
    """
    if path.suffix != ".png":
        raise UsageError(f"--out is {path}: name a file ending in .png")
    if not path.parent.is_dir():
        raise UsageError(f"--out is {path}: there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"--out is {path}: is a directory; name a file")


def write_json(value: Any, path: str | None) -> bool:
    """Writes ``value`` to a file, or prints it for ``-``. Does nothing for None.

    Returns:
        Whether the command should also print its text.
    """
    if path is None:
        return True
    text = json.dumps(value, indent=2)
    if path == STDOUT:
        print(text)
        return False
    replace_file(Path(path), text + "\n")
    return True
