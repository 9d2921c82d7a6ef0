"""The user's cache, and writes that survive a crash of the machine."""

from __future__ import annotations

import os
from pathlib import Path

from alexnet_jax.errors import AlexNetError


def cache_directory() -> Path:
    """Where downloaded files are kept: ``alexnet_jax`` in ``XDG_CACHE_HOME``, which is ``~/.cache`` by default."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "alexnet_jax"


def replace_file(path: Path, content: str | bytes) -> None:
    """Writes ``content`` to ``path``. Readers see the old file or the new one, even after a crash.

    Raises:
        OSError: the file cannot be written. The old file is unchanged.
        AlexNetError: ``path`` is a directory.
    """
    if path.is_dir():
        raise AlexNetError(f"{path}: is a directory, and a file of this name has to be written; remove it")
    draft = path.with_name(f".{path.name}.new")
    try:
        with draft.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_directory(path.parent)
    finally:
        draft.unlink(missing_ok=True)  # after an error


def sync_tree(root: Path) -> None:
    """Flushes the files and directories below ``root`` to disk."""
    for directory, _, names in os.walk(root):
        for name in names:
            with (Path(directory) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_directory(Path(directory))


def sync_directory(directory: Path) -> None:
    """Flushes the names of the files in ``directory`` to disk, where the system can do that."""
    if os.name == "nt":  # cannot open a directory
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
