"""The ``--json`` flag that the commands share, and the check of the pictures that they write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import tyro

from alexnet_jax.errors import UsageError
from alexnet_jax.files import replace_file
from alexnet_jax.stores.output import check_output, output
from alexnet_jax.stores.store import url_of

STDOUT = "-"

JsonPath = Annotated[str | None, tyro.conf.arg(metavar="PATH|-")]
"""The type of the flag."""


def check_json_path(path: str | None) -> None:
    """Checks that the JSON file can be made, before a command starts its work.

    Raises:
        UsageError: the directory of ``path`` does not exist, or ``path`` is a directory.
        StoreError: ``path`` is a URL, and the store cannot be reached.
    """
    if path is not None and path != STDOUT:
        check_file_path("--json", Path(path))


def check_picture_path(path: Path) -> None:
    """Checks that the picture of ``--out`` can be made, before a command starts its work.

    Raises:
        UsageError: it is not a PNG file, or its directory does not exist.
    """
    if path.suffix != ".png":
        raise UsageError(f"--out is {path}: name a file ending in .png")
    check_file_path("--out", path)


def check_file_path(flag: str, path: Path) -> None:
    """Checks that the file of a flag can be made or replaced, before a command starts its work.

    Raises:
        UsageError: its directory does not exist, or it is a directory.
        StoreError: ``path`` is a URL, and the store cannot be reached.
    """
    if url_of(path) is not None:
        check_output(path, is_new=False)
        return
    if not path.parent.is_dir():
        raise UsageError(f"{flag} is {path}: there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"{flag} is {path}: is a directory; name a file")


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
    with output(Path(path), is_new=False) as file:
        replace_file(file, text + "\n")
    return True
