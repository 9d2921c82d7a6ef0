"""Run directories without training."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from alexnet_jax.config import TrainConfig
from alexnet_jax.preprocessing.statistics import Statistics
from alexnet_jax.training.runs.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.steps.state import TrainState, create_train_state


def write_run(
    root: Path,
    config: TrainConfig,
    class_names: tuple[str, ...],
    change: Callable[[TrainState], TrainState] = lambda state: state,
) -> Path:
    """A run directory with one checkpoint, of step 7, which holds the initial weights and a random mean image.

    ``change`` can change them.
    """
    size, channels = config.data.image_size, config.model.channels
    mean = jax.random.uniform(jax.random.key(1), (size, size, channels), jnp.float32, 60.0, 180.0)
    statistics = Statistics(mean, 400.0 * jnp.eye(channels, dtype=jnp.float32))
    state = jax.jit(partial(create_train_state, config))(jax.random.key(0), statistics)
    run = RunDirectory(root)
    root.mkdir(parents=True, exist_ok=True)
    run.claim(config, class_names)
    with CheckpointWriter(run.checkpoints) as writer:
        writer.save(change(jax.device_get(state).replace(step=jnp.int32(7))))
    return root
