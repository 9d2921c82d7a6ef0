"""Settings that JAX reads when its backend starts: CPU flags, virtual devices and the compilation cache.

This module does not import JAX unless virtual devices are requested.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

XLA_FLAG = "--xla_cpu_experimental_ynn_fusion_type="
"""Makes XLA use Eigen for convolutions and matrix products, which is faster for AlexNet than its default library."""
_XLA_FLAG_VERSION = "0.10.2"  # XLA ends the process at an unknown flag, so other releases do not get it

MAX_CACHE_BYTES = 2**29
"""The size of the compilation cache. Beyond it, the oldest entries are deleted."""
_CACHE_ENTRIES = "*-cache"
_DAMAGED_ENTRY = re.compile(r"Error reading persistent compilation cache entry for '([\w.]+)'")
_WRITE_ERROR = "Error writing persistent compilation cache entry"

_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # from glibc's malloc.h


def tune_cpu() -> None:
    """Sets what makes JAX fast on a CPU. Call it before JAX's backend starts. Other devices are not affected.

    Adds ``XLA_FLAG`` to ``XLA_FLAGS`` in the environment, unless it is there. Tells glibc to keep freed memory,
    because XLA allocates the temporary arrays of each step again and new pages would have to be cleared.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if XLA_FLAG not in flags and version("jaxlib") == _XLA_FLAG_VERSION:
        os.environ["XLA_FLAGS"] = f"{flags} {XLA_FLAG}".strip()
    _keep_freed_memory()


def untuned(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` as it was before ``tune_cpu``, for programs that run with their own defaults."""
    flags = environment.get("XLA_FLAGS", "").replace(XLA_FLAG, "").strip()
    others = {name: value for name, value in environment.items() if name != "XLA_FLAGS"}
    return others | ({"XLA_FLAGS": flags} if flags else {})


def _keep_freed_memory() -> None:
    if sys.platform != "linux" or not hasattr(library := ctypes.CDLL(None), "mallopt"):
        return
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, -1)
    library.mallopt(_M_ARENA_MAX, 1)  # the arenas of threads would return their memory in spite of the threshold


def use_virtual_devices() -> None:
    """Gives a CPU two devices, and XLA enough threads for them. Call it before JAX's backend starts.

    Each virtual device occupies a thread while it waits for the other. XLA starts as many threads as there are cores.
    With one or two cores two devices then deadlock. ``NPROC`` in the environment sets another number of threads.
    """
    import jax

    os.environ.setdefault("NPROC", str(max(8, os.cpu_count() or 1)))
    jax.config.update("jax_num_cpu_devices", 2)


def use_compile_cache() -> None:
    """Makes JAX keep compiled functions in the user's cache directory. Call it before JAX is imported.

    ``JAX_COMPILATION_CACHE_DIR`` in the environment names another directory, or none if it is empty. If the directory
    cannot be written, nothing is cached. A damaged entry is deleted when it is read, and the function compiled again.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        with contextlib.suppress(OSError, RuntimeError):  # a full disk, or a user without a home directory
            os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_cache_directory())
            os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        _delete_damaged_entries(Path(os.environ["JAX_COMPILATION_CACHE_DIR"]))


def _cache_directory() -> Path:
    """Makes the directory and limits its size. Raises OSError or RuntimeError if it cannot be written."""
    root = os.environ.get("XDG_CACHE_HOME")
    directory = (Path(root) if root else Path.home() / ".cache") / "alexnet_jax"
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass
    _delete_oldest_entries(directory)
    return directory


def _delete_oldest_entries(directory: Path) -> None:
    """Brings the entries down to ``MAX_CACHE_BYTES``. JAX does so itself only with the package ``filelock``."""
    files = [(file, file.stat()) for file in directory.glob(_CACHE_ENTRIES)]
    size = sum(stat.st_size for _, stat in files)
    for file, stat in sorted(files, key=lambda entry: entry[1].st_mtime):
        if size <= MAX_CACHE_BYTES:
            return
        file.unlink(missing_ok=True)
        size -= stat.st_size


def _delete_damaged_entries(directory: Path) -> None:
    """JAX warns about an entry that it cannot read, compiles again, and would never replace the entry."""
    show = warnings.showwarning

    def show_other_warnings(message: Warning | str, *where: Any, **more: Any) -> None:
        damaged = _DAMAGED_ENTRY.match(str(message))
        if damaged is None:
            if not str(message).startswith(_WRITE_ERROR):
                show(message, *where, **more)
            return
        for file in directory.glob(f"{damaged[1]}-{_CACHE_ENTRIES}"):
            with contextlib.suppress(OSError):
                file.unlink()

    warnings.showwarning = show_other_warnings
