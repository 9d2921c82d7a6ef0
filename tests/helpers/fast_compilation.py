"""Compilation without optimisation, for tests whose programs take longer to compile than to run."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from unittest import mock

import jax


@contextlib.contextmanager
def fast_compilation() -> Iterator[None]:
    """A context in which XLA compiles without optimisation, also in the processes that start in it."""
    before = jax.config.read("jax_disable_most_optimizations")
    with mock.patch.dict(os.environ, {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}):
        jax.config.update("jax_disable_most_optimizations", True)
        try:
            yield
        finally:
            jax.config.update("jax_disable_most_optimizations", before)
