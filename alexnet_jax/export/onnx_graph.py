"""The net as an ONNX graph, with one node for each layer.

Images are (batch, channels, height, width) after the first nodes, as ONNX requires. No other module imports the package
onnx.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from alexnet_jax.config import ConvConfig, Layer, ModelConfig, TrainConfig
from alexnet_jax.config.windows import Rounding, window_count, window_padding
from alexnet_jax.training.state import TrainState
from alexnet_jax.weights.channels_first import to_channels_first

_OPSET, _IR_VERSION = 13, 7
"""The versions of ONNX 1.8 (2020). It has every operator used here, and older programs can read it."""


def onnx_model(config: TrainConfig, state: TrainState, class_names: tuple[str, ...]) -> onnx.ModelProto:
    """The graph from stored uint8 ``images`` to ``logits``, with the shapes of all intermediate values."""
    graph = _Graph(config.model, to_channels_first(state.inference_params, config.model, is_bgr=False))
    x = graph.crop("images", config, state)
    for layer in config.model.layers():
        x = graph.layer(layer, x)
    pixels = config.data.image_size
    shape: list[str | int] = ["batch", pixels, pixels, config.model.channels]
    images = helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, shape)
    logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", config.model.classes])
    net = helper.make_graph(graph.nodes, "alexnet", [images], [logits], graph.constants)
    opset = helper.make_opsetid("", _OPSET)
    model = helper.make_model(net, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="alexnet_jax")
    if class_names:
        helper.set_model_props(model, {"class_names": json.dumps(class_names)})
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


class _Graph:
    """Builds the graph. Methods add nodes that read the value named ``x`` and return the name of their output."""

    def __init__(self, model: ModelConfig, layers: Mapping[str, Mapping[str, np.ndarray]]) -> None:
        self.model = model
        self.layers = layers
        self.size = model.image_size  # side in pixels of the output of the last node
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def node(self, operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node whose output has the node's name."""
        self.nodes.append(helper.make_node(operator, inputs, [name], name, **attributes))
        return name

    def constant(self, name: str, values: Any) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def parameters(self, name: str) -> list[str]:
        return [self.constant(f"{name}/{kind}", self.layers[name][kind]) for kind in ("kernel", "bias")]

    def crop(self, x: str, config: TrainConfig, state: TrainState) -> str:
        """Centre crop and normalisation, as ``preprocess``."""
        start = (config.data.image_size - self.size) // 2
        end = start + self.size
        corners = {"starts": [start, start], "ends": [end, end], "axes": [1, 2]}
        x = self.node("Slice", "crop", x, *(self.constant(f"crop/{name}", at) for name, at in corners.items()))
        x = self.node("Cast", "pixels", x, to=onnx.TensorProto.FLOAT)
        mean = np.asarray(state.statistics.mean)
        x = self.node(
            "Sub", "centred", x, self.constant("mean", mean[start:end, start:end] if mean.ndim == 3 else mean)
        )
        if config.augment.divide_by_stddev:
            x = self.node("Div", "scaled", x, self.constant("stddev", state.statistics.colour_stddev))
        return self.node("Transpose", "channels_first", x, perm=[0, 3, 1, 2])

    def layer(self, layer: Layer, x: str) -> str:
        match layer.operation:
            case "conv":
                assert isinstance(layer.config, ConvConfig)
                conv = layer.config
                windows = self.windows(conv.kernel_size, conv.stride, conv.padding, conv.rounding)
                return self.node("Conv", layer.name, x, *self.parameters(layer.name), group=conv.groups, **windows)
            case "dense" | "classifier":
                return self.dense(layer, x)
            case "dropout":
                return self.dropout(layer.name, x)
            case "local_response_norm":
                return self.local_response_norm(layer.name, x)
            case "spatial_response_norm":
                return self.spatial_response_norm(layer.name, x)
            case "max_pool":
                pool = self.model.max_pool
                return self.node("MaxPool", layer.name, x, **self.windows(pool.size, pool.stride, 0, pool.rounding))
            case "relu":
                return self.node("Relu", layer.name, x)
            case "tanh":
                return self.node("Tanh", layer.name, x)

    def windows(self, window: int, stride: int, padding: int, rounding: Rounding) -> dict[str, list[int]]:
        """The attributes of a convolution or pooling. Updates ``self.size`` to the size of its output.

        ONNX rounds the number of windows down, so negative padding, for unread pixels, can be omitted.
        """
        before, after = window_padding(self.size, window, stride, padding, rounding)
        after = max(after, 0)
        self.size = window_count(self.size, window, stride, padding, rounding)
        return {
            "kernel_shape": [window, window],
            "strides": [stride, stride],
            "pads": [before, before, after, after],
        }

    def local_response_norm(self, name: str, x: str) -> str:
        """One LRN node, or one for each tower. ONNX always divides alpha by the window size."""
        norm, towers = self.model.local_response_norm, self.model.towers
        alpha = norm.alpha if norm.divide_alpha else norm.alpha * norm.size
        constants = {"size": norm.size, "alpha": alpha, "beta": norm.beta, "bias": norm.k}
        if norm.across_towers or towers == 1:
            return self.node("LRN", name, x, **constants)
        parts = [f"{name}/tower{tower}" for tower in range(towers)]
        inputs = [f"{part}/input" for part in parts]
        self.nodes.append(helper.make_node("Split", [x], inputs, f"{name}/split", axis=1))
        for part, values in zip(parts, inputs, strict=True):
            self.node("LRN", part, values, **constants)
        return self.node("Concat", name, *parts, axis=1)

    def spatial_response_norm(self, name: str, x: str) -> str:
        """Built from an average pooling that counts the padding, because ONNX has no such operator."""
        norm = self.model.spatial_response_norm
        window = {"kernel_shape": [norm.size] * 2, "pads": [norm.size // 2] * 4}
        squares = self.node("Mul", f"{name}/squares", x, x)
        mean = self.node("AveragePool", f"{name}/mean", squares, count_include_pad=1, **window)
        base = self.node("Mul", f"{name}/weighted", mean, self.constant(f"{name}/alpha", np.float32(norm.alpha)))
        base = self.node("Add", f"{name}/base", base, self.constant(f"{name}/k", np.float32(norm.k)))
        power = self.node("Pow", f"{name}/power", base, self.constant(f"{name}/beta", np.float32(norm.beta)))
        return self.node("Div", name, x, power)

    def dense(self, layer: Layer, x: str) -> str:
        """A dense layer. The first one flattens the image."""
        if layer.name == self.model.dense_names[0]:
            x = self.node("Flatten", "flat", x)
        output = "logits" if layer.operation == "classifier" else layer.name
        self.nodes.append(helper.make_node("Gemm", [x, *self.parameters(layer.name)], [output], layer.name, transB=1))
        return output

    def dropout(self, name: str, x: str) -> str:
        """Dropout at test time: the identity, or a multiplication by the kept fraction."""
        dropout = self.model.dropout
        if dropout.scaled_in == "training":
            return x
        return self.node("Mul", name, x, self.constant(f"{name}/keep", np.float32(1.0 - dropout.rate)))
