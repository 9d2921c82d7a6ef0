"""Conversion between this project's parameters and the memory format that PyTorch and Caffe share.

There, kernels are (out, in / groups, height, width) and (out, in), and the first dense layer reads an image flattened
channel by channel. Here, kernels are (height, width, in / groups, out) and (in, out), and it reads the image flattened
pixel by pixel. Caffe's first layer also reads colours in the order blue, green, red.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import PyTree

from alexnet_jax.config import ConvConfig, DenseConfig, ModelConfig
from alexnet_jax.errors import AlexNetError

Layers = dict[str, dict[str, np.ndarray]]
"""``kernel`` and ``bias`` of each layer by its name: ``conv1`` and so on, ``fc6`` and so on."""


def from_channels_first(layers: Mapping[str, Mapping[str, np.ndarray]], config: ModelConfig, *, is_bgr: bool) -> Layers:
    """The parameter tree of ``config`` from channels-first layers.

    Args:
        layers: kernels as (out, in / groups, height, width) and (out, in / groups), biases as (out,). A locally
            connected layer has such a kernel and biases for each position: (rows, columns, ...).
        config: the net.
        is_bgr: whether the first layer reads blue, green, red.

    Returns:
        The parameters as in ``AlexNet``, float32, the first layer reading RGB.

    Raises:
        AlexNetError: a layer is missing or has another shape.
    """
    params = {}
    for name, shape in layer_shapes(config).items():
        if name not in layers:
            raise AlexNetError(f"{name} is missing: the weights have {', '.join(layers)}")
        kernel, bias = np.asarray(layers[name]["kernel"]), np.asarray(layers[name]["bias"])
        if kernel.shape != shape or bias.shape != bias_shape(shape):
            raise AlexNetError(
                f"{name} has the shapes {kernel.shape} and {bias.shape}, not {shape} and {bias_shape(shape)}"
            )
        if name == "conv1" and is_bgr:
            kernel = kernel[:, ::-1]
        params[name] = {
            "kernel": _channels_last(kernel, name, config).astype(np.float32),
            "bias": np.array(bias, np.float32),
        }
    return params


def to_channels_first(params: PyTree, config: ModelConfig, *, is_bgr: bool) -> Layers:
    """The inverse of ``from_channels_first``."""
    layers = {}
    for name, shape in layer_shapes(config).items():
        kernel = _channels_first(np.asarray(params[name]["kernel"]), name, config).reshape(shape)
        if name == "conv1" and is_bgr:
            kernel = kernel[:, ::-1]
        layers[name] = {"kernel": np.ascontiguousarray(kernel), "bias": np.asarray(params[name]["bias"])}
    return layers


def layer_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The channels-first shape of each layer's kernel, in the order of the forward pass."""
    shapes: dict[str, tuple[int, ...]] = {}
    sizes = dict(config.image_sizes())
    inputs = config.channels
    for layer in config.layers():
        if isinstance(layer.config, ConvConfig):
            conv = layer.config
            positions = () if conv.shared_kernel else (sizes[layer.name], sizes[layer.name])
            shape = (conv.features, inputs // conv.groups, conv.kernel_size, conv.kernel_size)
            shapes[layer.name] = (*positions, *shape)
            inputs = conv.features
        elif isinstance(layer.config, DenseConfig):
            if layer.name == config.dense_names[0]:
                inputs *= _last_image_size(config) ** 2
            shapes[layer.name] = (layer.config.features, inputs // layer.config.groups)
            inputs = layer.config.features
    return shapes


def bias_shape(kernel_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a layer's biases, from that of its channels-first kernel."""
    return kernel_shape[:3] if len(kernel_shape) == 6 else kernel_shape[:1]


def _last_image_size(config: ModelConfig) -> int:
    """Side in pixels of the image that the first dense layer reads."""
    return list(config.image_sizes())[-1][1]


def _channels_last(kernel: np.ndarray, name: str, config: ModelConfig) -> np.ndarray:
    if kernel.ndim >= 4:
        return np.ascontiguousarray(np.moveaxis(kernel, (-4, -3), (-1, -2)))
    if name == config.dense_names[0]:  # its inputs are an image: (channel, row, column) becomes (row, column, channel)
        size = _last_image_size(config)
        kernel = kernel.reshape(len(kernel), -1, size, size).transpose(0, 2, 3, 1).reshape(len(kernel), -1)
    return np.ascontiguousarray(kernel.T)


def _channels_first(kernel: np.ndarray, name: str, config: ModelConfig) -> np.ndarray:
    if kernel.ndim >= 4:
        return np.moveaxis(kernel, (-1, -2), (-4, -3))
    kernel = kernel.T
    if name == config.dense_names[0]:
        size = _last_image_size(config)
        kernel = kernel.reshape(len(kernel), size, size, -1).transpose(0, 3, 1, 2)
    return kernel
