"""A trained net as a StableHLO file."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import export

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import require_package
from alexnet_jax.training.steps.eval_step import logits_step
from alexnet_jax.training.steps.state import TrainState

PLATFORMS = ("cpu", "cuda", "tpu")
"""The platforms that an exported program runs on."""


def export_stablehlo(config: TrainConfig, state: TrainState) -> bytes:
    """The net as a StableHLO program for ``PLATFORMS``, which ``jax.export.deserialize`` reads.

    The program reads uint8 images (batch, height, width, channels) as stored, RGB, and returns logits, float32
    (batch, classes). It includes the crop and the normalisation.

    Args:
        config: the run.
        state: a canonical state: a new one, a restored one, or the result of ``Layout.collect``.

    Returns:
        The serialised program.

    Raises:
        UsageError: the package flatbuffers is missing.
    """
    require_package("flatbuffers", "StableHLO export", extra="export")
    pixels, channels = config.data.image_size, config.model.channels
    images = jax.ShapeDtypeStruct(export.symbolic_shape(f"batch, {pixels}, {pixels}, {channels}"), jnp.uint8)
    logits = jax.jit(partial(logits_step, jax.tree.map(jnp.asarray, state), config=config))
    return bytes(export.export(logits, platforms=PLATFORMS)(images).serialize())
