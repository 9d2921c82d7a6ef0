"""The memory that a compiled training step needs, compared with what its devices have."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.resources import usable_memory


def check_memory(compiled: jax.stages.Compiled, config: TrainConfig, devices: Sequence[jax.Device]) -> None:
    """Checks that a training step fits into memory, because on a CPU XLA ends the process if it does not.

    Args:
        compiled: the step. Nothing is checked if the compiler does not report its memory.
        config: the run.
        devices: the devices of the step. Those of a CPU share its memory.

    Raises:
        UsageError: the step needs more memory than there is.
    """
    analysis = compiled.memory_analysis()
    if analysis is None:
        return
    here = [device for device in devices if device.process_index == jax.process_index()]
    sharing = len(here) if here[0].platform == "cpu" else 1
    kept = sharing * (analysis.argument_size_in_bytes + analysis.output_size_in_bytes - analysis.alias_size_in_bytes)
    temporary = sharing * analysis.temp_size_in_bytes
    limit = (here[0].memory_stats() or {}).get("bytes_limit") or usable_memory()
    if kept + temporary <= limit:
        return
    fitting = math.floor(config.micro_batch_size * (limit - kept) / temporary) if temporary else 0
    raise UsageError(
        f"batch_size is {config.batch_size}: a step needs {_gib(kept + temporary)} of memory, and there are "
        f"{_gib(limit)}; use {_remedy(config, fitting)}"
    )


def _remedy(config: TrainConfig, fitting: int) -> str:
    """What would work if about ``fitting`` images at once fit into memory."""
    if fitting < 1:
        return "a smaller net or another machine"
    parts = next(parts for parts in range(1, config.batch_size + 1) if _divides(parts, fitting, config.batch_size))
    return f"--batch_size {fitting * config.micro_batches} or less, or --micro_batches {parts}"


def _divides(parts: int, fitting: int, batch_size: int) -> bool:
    return batch_size % parts == 0 and batch_size // parts <= fitting


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"
