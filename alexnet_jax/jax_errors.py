"""Errors of JAX that a user can act on, in one line."""

from __future__ import annotations

import os
import sys

from alexnet_jax.errors import AlexNetError, UsageError, first_line


def explain(error: Exception) -> Exception:
    """``error``, or an error in our words if memory or the devices of ``JAX_PLATFORMS`` are missing."""
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return AlexNetError(
            "out of memory: train with a smaller --batch_size or more --micro_batches, or use a smaller net or another "
            "machine"
        )
    if isinstance(error, AssertionError | RuntimeError) and "JAX_PLATFORMS" in os.environ and "jax" in sys.modules:
        return _missing_platform() or error
    return error


def _missing_platform() -> UsageError | None:
    """The error if JAX cannot start the platforms in ``JAX_PLATFORMS``, or None.

    JAX filters its tracebacks, so an error does not show where it was raised. This function asks for the devices again.
    """
    import jax

    try:
        jax.devices()
    except (AssertionError, RuntimeError) as error:
        reason, _, _ = first_line(error).partition(" (set JAX_PLATFORMS")  # JAX's remedy
        reason = f" ({reason})" if str(error) else ""
        remedy = "install its plugin, or unset JAX_PLATFORMS"
        return UsageError(
            f"JAX_PLATFORMS is {os.environ['JAX_PLATFORMS']!r}: JAX finds no such device{reason}; {remedy}"
        )
    return None
