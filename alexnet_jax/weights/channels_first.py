"""Between this project's parameter tree and the layout that Caffe and PyTorch share.

Theirs holds kernels as (out, in / groups, height, width) and (out, in), and flattens an image channel by channel; ours
holds (height, width, in / groups, out) and (in, out), and flattens it pixel by pixel. Caffe's first layer also reads
blue, green and red in that order.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import PyTree

from alexnet_jax.config import ModelConfig
from alexnet_jax.errors import AlexNetError

Layers = dict[str, dict[str, np.ndarray]]
"""``kernel`` and ``bias`` by the name of the layer: conv1 ..., fc6 ..."""


def from_channels_first(layers: Mapping[str, Mapping[str, np.ndarray]], config: ModelConfig, bgr: bool) -> Layers:
    """Parameters of ``config`` in this project's layout, from kernels (out, in, height, width) and (out, in).

    Raises AlexNetError for a layer that is missing or has another shape.
    """
    params = {}
    for name, shape in layer_shapes(config).items():
        if name not in layers:
            raise AlexNetError(f"{name} is missing: the weights hold {', '.join(layers)}")
        kernel, bias = np.asarray(layers[name]["kernel"]), np.asarray(layers[name]["bias"])
        if kernel.shape != shape or bias.shape != shape[:1]:
            raise AlexNetError(f"{name} has the shapes {kernel.shape} and {bias.shape}, not {shape} and {shape[:1]}")
        if name == "conv1" and bgr:
            kernel = kernel[:, ::-1]
        params[name] = {
            "kernel": _to_ours(kernel, name, config).astype(np.float32),
            "bias": np.array(bias, np.float32),
        }
    return params


def to_channels_first(params: PyTree, config: ModelConfig, bgr: bool) -> Layers:
    """The inverse of ``from_channels_first``."""
    layers = {}
    for name, shape in layer_shapes(config).items():
        kernel = _to_theirs(np.asarray(params[name]["kernel"]), name, config).reshape(shape)
        if name == "conv1" and bgr:
            kernel = kernel[:, ::-1]
        layers[name] = {"kernel": np.ascontiguousarray(kernel), "bias": np.asarray(params[name]["bias"])}
    return layers


def layer_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shape of each layer's kernel in the layout of Caffe and PyTorch, in order."""
    shapes: dict[str, tuple[int, ...]] = {}
    read = config.channels
    for number, conv in enumerate(config.convs, start=1):
        shapes[f"conv{number}"] = (conv.features, read // conv.groups, conv.kernel_size, conv.kernel_size)
        read = conv.features
    read *= _last_size(config) ** 2
    widths = [*(dense.features for dense in config.dense), config.classes]
    for name, features in zip(config.dense_names, widths, strict=True):
        shapes[name] = (features, read)
        read = features
    return shapes


def _last_size(config: ModelConfig) -> int:
    """Side in pixels of what the first dense layer reads."""
    return list(config.image_sizes())[-1][1]


def _to_ours(kernel: np.ndarray, name: str, config: ModelConfig) -> np.ndarray:
    if kernel.ndim == 4:
        return np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
    if name == config.dense_names[0]:  # reads an image: channels, rows, columns become rows, columns, channels
        size = _last_size(config)
        kernel = kernel.reshape(len(kernel), -1, size, size).transpose(0, 2, 3, 1).reshape(len(kernel), -1)
    return np.ascontiguousarray(kernel.T)


def _to_theirs(kernel: np.ndarray, name: str, config: ModelConfig) -> np.ndarray:
    if kernel.ndim == 4:
        return kernel.transpose(3, 2, 0, 1)
    kernel = kernel.T
    if name == config.dense_names[0]:
        size = _last_size(config)
        kernel = kernel.reshape(len(kernel), size, size, -1).transpose(0, 3, 1, 2)
    return kernel
