"""The machine: its description, and matrix products that measure its peak."""

from __future__ import annotations

import datetime
import math
import os
import platform
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxlib import version as jaxlib_version

from alexnet_jax.bench.timing import Contender, Task, seconds_of
from alexnet_jax.config import Dtype

MATMUL_SIZES = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 1024, 1024))
"""Rows, inner size and columns of the products. The best rate among them is the machine's peak."""


def describe_machine() -> dict[str, Any]:
    """Processor, cores, load of the last minute, devices, versions and date."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "devices": [device.device_kind for device in jax.devices()],
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib_version.__version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def _processor() -> str:
    """The processor's model name, if the system knows it."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def matmul_contenders(dtype: Dtype) -> dict[Task, Contender]:
    """Matrix products in ``dtype`` on the first device."""
    multiply = jax.jit(jnp.matmul)

    def contender(rows: int, inner: int, columns: int) -> Contender:
        left, right = jnp.ones((rows, inner), dtype), jnp.ones((inner, columns), dtype)
        return partial(seconds_of, multiply, left, right)

    return {
        Task("matmul", " x ".join(map(str, sizes)), "forward", 2 * math.prod(sizes)): contender(*sizes)
        for sizes in MATMUL_SIZES
    }
