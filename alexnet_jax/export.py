"""A trained net as one file that other programs run: its parameters inside, any number of images at a time.

Both forms take ``images``, uint8 (batch, height, width, channels) as stored: squares of ``config.data.image_size``
pixels, colours in RGB order. They cut out the centre, subtract the mean and give ``logits``, float32 (batch, classes).
The state is a canonical one: fresh, from a checkpoint, or as ``parallel.Layout.collect`` returns it.
"""

from __future__ import annotations

import importlib.util
from functools import partial

import jax
import jax.numpy as jnp
from jax import export

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.steps import logits_step
from alexnet_jax.train_state import TrainState

PLATFORMS = ("cpu", "cuda", "tpu")
"""Where an exported StableHLO program runs."""


def export_stablehlo(config: TrainConfig, state: TrainState) -> bytes:
    """The net as a StableHLO program for ``PLATFORMS``, which ``jax.export.deserialize`` reads.

    Raises UsageError where the package flatbuffers is missing.
    """
    _require("flatbuffers", "StableHLO")
    pixels, channels = config.data.image_size, config.model.channels
    images = jax.ShapeDtypeStruct(export.symbolic_shape(f"batch, {pixels}, {pixels}, {channels}"), jnp.uint8)
    logits = jax.jit(partial(logits_step, jax.tree.map(jnp.asarray, state), config=config))
    return bytes(export.export(logits, platforms=PLATFORMS)(images).serialize())


def export_onnx(config: TrainConfig, state: TrainState) -> bytes:
    """The net as an ONNX model, whose nodes have the names of ``model.intermediate_names``.

    Where dropout is made up for in training it does nothing here, and has no node.

    Raises UsageError where the package onnx is missing.
    """
    _require("onnx", "ONNX")
    from alexnet_jax.onnx_graph import onnx_model

    return onnx_model(config, jax.device_get(state)).SerializeToString()


def _require(package: str, form: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise UsageError(f"{form} needs the package {package}: pip install 'alexnet-jax[export]'")
