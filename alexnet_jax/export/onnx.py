"""A trained net as an ONNX file."""

from __future__ import annotations

import jax

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import require_package
from alexnet_jax.training.steps.state import TrainState


def export_onnx(config: TrainConfig, state: TrainState, class_names: tuple[str, ...] = ()) -> bytes:
    """The net as an ONNX model, opset 13.

    The model reads ``images``, uint8 (batch, height, width, channels) as stored, RGB, and returns ``logits``, float32
    (batch, classes). It includes the crop and the normalisation. Nodes have the names of ``config.model.layers()``.
    Inverted dropout does nothing at test time and has no node. The metadata entry ``class_names`` is a JSON list.

    Args:
        config: the run.
        state: a canonical state: a new one, a restored one, or the result of ``Layout.collect``.
        class_names: the names of the classes, in the order of the logits. Empty leaves the metadata entry out.

    Returns:
        The content of an ``.onnx`` file.

    Raises:
        UsageError: the package onnx is missing.
    """
    require_package("onnx", "ONNX export", extra="export")
    from alexnet_jax.export.onnx_graph import onnx_model

    return onnx_model(config, jax.device_get(state), class_names).SerializeToString()
