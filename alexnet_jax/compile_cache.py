"""What XLA has compiled, kept on disk for the next command. Nothing here imports JAX: it reads the environment."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import warnings
from pathlib import Path
from typing import Any

MOST_BYTES = 2**29
"""Beyond this the entries that were written first go."""

_ENTRIES = "*-cache"
_DAMAGED = re.compile(r"Error reading persistent compilation cache entry for '([\w.]+)'")
_UNWRITTEN = "Error writing persistent compilation cache entry"


def use_compile_cache() -> None:
    """Has JAX keep what it compiles in the user's cache folder. Call it before JAX is imported.

    ``JAX_COMPILATION_CACHE_DIR`` names another folder, or none if it is empty. Where the folder cannot be written
    there is no cache. A damaged entry is removed when it is met, and the function compiled anew.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        with contextlib.suppress(OSError, RuntimeError):  # a full disk, or a user without a home
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_users_folder())
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        _forget_damaged_entries(Path(os.environ["JAX_COMPILATION_CACHE_DIR"]))


def _users_folder() -> Path:
    """The folder, which is there, can be written and is not too full. Raises OSError or RuntimeError otherwise."""
    root = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(root) if root else Path.home() / ".cache") / "alexnet_jax"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass
    _drop_oldest(folder)
    return folder


def _drop_oldest(folder: Path) -> None:
    """Brings the entries down to ``MOST_BYTES``; JAX does so itself only with a package that locks files."""
    files = [(file, file.stat()) for file in folder.glob(_ENTRIES)]
    size = sum(stat.st_size for _, stat in files)
    for file, stat in sorted(files, key=lambda entry: entry[1].st_mtime):
        if size <= MOST_BYTES:
            return
        file.unlink(missing_ok=True)
        size -= stat.st_size


def _forget_damaged_entries(folder: Path) -> None:
    """JAX warns of an entry that it cannot read, compiles anew and would never replace it."""
    show = warnings.showwarning

    def show_others(message: Warning | str, *where: Any, **more: Any) -> None:
        damaged = _DAMAGED.match(str(message))
        if damaged is None:
            if not str(message).startswith(_UNWRITTEN):
                show(message, *where, **more)
            return
        for file in folder.glob(f"{damaged[1]}-{_ENTRIES}"):
            with contextlib.suppress(OSError):
                file.unlink()

    warnings.showwarning = show_others
