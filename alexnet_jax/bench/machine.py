"""The machine: its description, and matrix products that measure its peak."""

from __future__ import annotations

import datetime
import math
import os
import platform
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxlib import version as jaxlib_version

from alexnet_jax.bench.timing import Contender, Task, seconds_of
from alexnet_jax.config import Dtype
from alexnet_jax.runtime import cpu_threads, processor, usable_cores

MATMUL_SIZES = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 1024, 1024))
"""Rows, inner size and columns of the products. The best rate among them is the machine's peak."""


def describe_machine() -> dict[str, Any]:
    """Processor, cores, threads of XLA, load of the last minute, devices, versions and date."""
    return {
        "processor": processor(),
        "cores": usable_cores(),
        "cpu_threads": cpu_threads(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "devices": [device.device_kind for device in jax.devices()],
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib_version.__version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


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
