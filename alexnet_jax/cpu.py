"""What makes JAX fast on a CPU and has to be said before its backend starts. Nothing here concerns other devices."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Mapping
from importlib.metadata import version

XLA_FLAG = "--xla_cpu_experimental_ynn_fusion_type="
"""Leaves convolutions and matrix products to Eigen.

The library that XLA takes for them by default needs up to four times as long for AlexNet's: conv1 and every
gradient of a kernel, above all.
"""
_TRIED_WITH = "0.10.2"  # XLA ends the process at a flag that it does not know, so other releases do not get it
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # from glibc's malloc.h


def tune() -> None:
    """Gives XLA the flag above, and lets the process keep memory that it has freed.

    ``XLA_FLAGS`` in the environment says the first, unless it names that flag already. The second is for glibc: XLA
    allocates a step's temporaries anew in each step, and pages that were returned in between must be cleared again.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if XLA_FLAG not in flags and version("jaxlib") == _TRIED_WITH:
        os.environ["XLA_FLAGS"] = f"{flags} {XLA_FLAG}".strip()
    _keep_freed_memory()


def untuned(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` as it was before ``tune``, for programs that run as others use them."""
    flags = environment.get("XLA_FLAGS", "").replace(XLA_FLAG, "").strip()
    others = {name: value for name, value in environment.items() if name != "XLA_FLAGS"}
    return others | ({"XLA_FLAGS": flags} if flags else {})


def _keep_freed_memory() -> None:
    if sys.platform != "linux" or not hasattr(library := ctypes.CDLL(None), "mallopt"):
        return
    library.mallopt(_M_MMAP_MAX, 0)
    library.mallopt(_M_TRIM_THRESHOLD, -1)
    library.mallopt(_M_ARENA_MAX, 1)  # those of threads give their memory back all the same
