"""Settings that JAX reads when its backend starts: XLA's CPU flags, threads, virtual devices, the compilation cache.

This module imports JAX only in the functions that set its options.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from alexnet_jax.files import cache_directory

_YNN_FLAG = "--xla_cpu_experimental_ynn_fusion_type"
_YNN_FUSIONS = {(0, 10): "", (0, 12): "individual_dot"}
"""The operations that XLA runs with the YNNPACK library, by jaxlib release: none, or matrix products.

Eigen's convolutions are faster for AlexNet (alexnet_jax/bench/studies/jax_versions.md). XLA aborts on unknown
flags and values, so other releases keep their defaults.
"""

MAX_CACHE_BYTES = 2**29
"""The size of the compilation cache. Beyond it, JAX deletes the entries that were used least recently."""

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # from glibc's malloc.h
_HEAP_BYTES = 2**26
"""The size of glibc's heaps for threads other than the main one."""


def tune_cpu() -> None:
    """Makes JAX faster on a CPU. Call it before JAX's backend starts. Other devices are not affected. Imports JAX.

    Adds ``xla_flag()`` to the environment variable ``XLA_FLAGS``, unless the flag is already set, and calls
    ``keep_freed_memory``. Sets ``jax_cpu_enable_async_dispatch`` to False, so that programs of one CPU device run in
    the thread that calls them. That should be the main thread: other threads return allocations of more than 64 MB
    when they free them, and the kernel has to clear new pages for the next step.
    """
    import jax

    flags = os.environ.get("XLA_FLAGS", "")
    if _YNN_FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {xla_flag()}".strip()
    keep_freed_memory()
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def xla_flag() -> str:
    """The XLA flag that makes AlexNet faster with the installed jaxlib, or an empty string for unmeasured releases."""
    major, minor, *_ = version("jaxlib").split(".")
    fusions = _YNN_FUSIONS.get((int(major), int(minor)))
    return "" if fusions is None else f"{_YNN_FLAG}={fusions}"


def untuned(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` without what ``tune_cpu`` added, for programs that run with their own defaults."""
    flags = " ".join(flag for flag in environment.get("XLA_FLAGS", "").split() if flag != xla_flag())
    others = {name: value for name, value in environment.items() if name != "XLA_FLAGS"}
    return others | ({"XLA_FLAGS": flags} if flags else {})


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory, up to 64 MB per allocation in other threads. Without glibc it does nothing.

    XLA allocates the temporary arrays of each step anew, and the kernel would have to clear new pages for them. The
    threads keep their own arenas: one arena for all makes the steps of small nets take 1.2 to 1.4 times as long,
    because threads wait for its lock and search long lists of free blocks.
    """
    if sys.platform != "linux" or not hasattr(library := ctypes.CDLL(None), "mallopt"):
        return
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, -1)
    library.mallopt(_M_TOP_PAD, 2 * _HEAP_BYTES)  # arenas of other threads ignore the threshold, but keep the padding


def use_virtual_devices(count: int = 2) -> None:
    """Gives a CPU several devices, and XLA enough threads for them. Call it before JAX's backend starts.

    Each virtual device occupies a thread while it waits for the others. XLA starts one thread per core, so two
    devices deadlock on one or two cores. One device keeps one thread per core, because more are slower. ``NPROC`` in
    the environment sets another number of threads. If the backend has started, it keeps its devices.

    Args:
        count: the number of devices.
    """
    import jax

    if count > 1:
        os.environ.setdefault("NPROC", str(max(8, 2 * count, usable_cores())))
    with contextlib.suppress(RuntimeError):  # the backend has started
        jax.config.update("jax_num_cpu_devices", count)


def cpu_threads() -> int:
    """The number of threads that XLA uses on a CPU.

    XLA divides sums among its threads, so the rounding errors of a run depend on it, and not on the number of cores.
    """
    set_by_user = os.environ.get("NPROC", "")
    return int(set_by_user) if set_by_user.isdecimal() else usable_cores()


def usable_cores() -> int:
    """The number of cores that the operating system lets this process use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's model name, if the system knows it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8", errors="replace").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def use_compile_cache() -> None:
    """Makes JAX cache compiled functions in the user's cache directory. Call it before JAX is imported.

    ``JAX_COMPILATION_CACHE_DIR`` in the environment sets another directory; an empty value turns the cache off.
    If the directory cannot be written, nothing is cached. If an entry cannot be read, JAX warns and compiles again.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    with contextlib.suppress(OSError, RuntimeError):  # a full disk, or a user without a home directory
        directory = _writable_cache()
        _delete_incomplete_entries(directory)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(directory)
        os.environ.setdefault("JAX_COMPILATION_CACHE_MAX_SIZE", str(MAX_CACHE_BYTES))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")  # a run has dozens of small programs


def _writable_cache() -> Path:
    """Makes the directory. Raises OSError or RuntimeError if it cannot be written."""
    directory = cache_directory()
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass
    return directory


def _delete_incomplete_entries(directory: Path) -> None:
    """Deletes entries whose writing was interrupted. JAX would not replace them.

    JAX writes ``KEY-atime`` after ``KEY-cache``, so an entry without it is not complete.
    """
    for entry in directory.glob("*-cache"):
        atime = entry.with_name(entry.name.removesuffix("-cache") + "-atime")
        if not atime.exists() or entry.stat().st_size == 0:
            entry.unlink(missing_ok=True)
