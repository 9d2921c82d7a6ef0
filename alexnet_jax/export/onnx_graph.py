"""The net as an ONNX graph, with one node for each layer.

Images are (batch, channels, height, width) after the first nodes, as ONNX requires. No other module of ``export``
imports the package onnx.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnx
from jaxtyping import PyTree
from onnx import helper, numpy_helper

from alexnet_jax.config import ConvConfig, DenseConfig, Layer, ModelConfig, TrainConfig
from alexnet_jax.config.windows import Rounding, window_count, window_padding
from alexnet_jax.training.steps.state import TrainState
from alexnet_jax.weights.channels_first import to_channels_first

_OPSET, _IR_VERSION = 13, 7
"""The versions of ONNX 1.8 (2020). It has every operator used here, and older programs can read it."""


def onnx_model(config: TrainConfig, state: TrainState, class_names: tuple[str, ...]) -> onnx.ModelProto:
    """The graph from stored uint8 ``images`` to ``logits``, with the shapes of all intermediate values."""
    graph = _Graph(config.model, **state.inference_variables)
    pixels = config.data.image_size
    shape: list[str | int] = ["batch", pixels, pixels, config.model.channels]
    images = helper.make_tensor_value_info("images", onnx.TensorProto.UINT8, shape)
    model = graph.model_of(images, graph.crop("images", config, state))
    if class_names:
        helper.set_model_props(model, {"class_names": json.dumps(class_names)})
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def onnx_net(model: ModelConfig, params: PyTree, batch_stats: PyTree) -> onnx.ModelProto:
    """The graph of the net alone, from float32 ``crops`` (batch, channels, height, width) to ``logits``."""
    graph = _Graph(model, params, batch_stats)
    shape: list[str | int] = ["batch", model.channels, model.image_size, model.image_size]
    crops = helper.make_tensor_value_info("crops", onnx.TensorProto.FLOAT, shape)
    return graph.model_of(crops, "crops")


class _Graph:
    """Builds the graph. Methods add nodes that read the value named ``x`` and return the name of their output."""

    def __init__(self, model: ModelConfig, params: PyTree, batch_stats: PyTree) -> None:
        self.model = model
        self.layers = to_channels_first(params, model, is_bgr=False)
        self.batch_stats = batch_stats
        self.size = model.image_size  # side in pixels of the output of the last node
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def model_of(self, inputs: onnx.ValueInfoProto, x: str) -> onnx.ModelProto:
        """The model that reads ``inputs``, after the nodes of all layers, of which the first reads ``x``."""
        for layer in self.model.layers():
            x = self.layer(layer, x)
        logits = helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["batch", self.model.classes])
        net = helper.make_graph(self.nodes, "alexnet", [inputs], [logits], self.constants)
        opset = helper.make_opsetid("", _OPSET)
        return helper.make_model(net, opset_imports=[opset], ir_version=_IR_VERSION, producer_name="alexnet_jax")

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
        if config.augment.pixel_scale != 1:
            factor = self.constant("pixel_scale", np.float32(config.augment.pixel_scale))
            x = self.node("Mul", "rescaled", x, factor)
        return self.node("Transpose", "channels_first", x, perm=[0, 3, 1, 2])

    def layer(self, layer: Layer, x: str) -> str:
        match layer.operation:
            case "conv":
                assert isinstance(layer.config, ConvConfig)
                conv = layer.config
                if not conv.shared_kernel:
                    return self.local(layer.name, conv, x)
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
            case "batch_norm":
                return self.batch_norm(layer.name, x)
            case "max_pool":
                pool = self.model.max_pool
                return self.node("MaxPool", layer.name, x, **self.windows(pool.size, pool.stride, 0, pool.rounding))
            case "average_pool":
                average = self.model.average_pool
                windows = self.windows(average.size, average.stride, 0, average.rounding)
                return self.node("AveragePool", layer.name, x, **windows)
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

    def batch_norm(self, name: str, x: str) -> str:
        """Batch normalisation by the running statistics."""
        mean, variance = (np.asarray(self.batch_stats[name][kind]) for kind in ("mean", "var"))
        arrays = {"scale": np.ones_like(mean), "shift": np.zeros_like(mean), "mean": mean, "variance": variance}
        inputs = [self.constant(f"{name}/{kind}", array) for kind, array in arrays.items()]
        return self.node("BatchNormalization", name, x, *inputs, epsilon=self.model.batch_norm.epsilon)

    def local(self, name: str, conv: ConvConfig, x: str) -> str:
        """A locally connected layer, as a matrix product for each position, because ONNX has no such operator."""
        windows = self.windows(conv.kernel_size, conv.stride, conv.padding, conv.rounding)
        pads = [0, 0, *windows["pads"][:2], 0, 0, *windows["pads"][2:]]
        x = self.node("Pad", f"{name}/padded", x, self.constant(f"{name}/pads", pads))
        span = (self.size - 1) * conv.stride + 1
        pixels = [
            self.slice(f"{name}/pixel{row}.{column}", x, (row, column), (row + span, column + span), conv.stride)
            for row, column in np.ndindex(conv.kernel_size, conv.kernel_size)
        ]
        x = self.node("Concat", f"{name}/windows", *pixels, axis=1)
        kernel, bias = self.layers[name]["kernel"], self.layers[name]["bias"]
        weights = _without_groups(kernel, conv.groups).transpose(0, 1, 4, 5, 3, 2)  # (..., row, column, in, out)
        weights = weights.reshape(self.size**2, -1, conv.features)
        x = self.node("Reshape", f"{name}/flat", x, self.constant(f"{name}/to", [0, *weights.shape[1::-1]]))
        x = self.node("Transpose", f"{name}/by_position", x, perm=[2, 0, 1])
        x = self.node("MatMul", f"{name}/products", x, self.constant(f"{name}/kernel", weights))
        x = self.node("Transpose", f"{name}/by_image", x, perm=[1, 2, 0])
        shape = self.constant(f"{name}/as", [0, conv.features, self.size, self.size])
        x = self.node("Reshape", f"{name}/sums", x, shape)
        return self.node("Add", name, x, self.constant(f"{name}/bias", bias.transpose(2, 0, 1)))

    def slice(self, name: str, x: str, start: tuple[int, int], end: tuple[int, int], stride: int) -> str:
        """Pixels of an image, from ``start`` to ``end`` (row, column)."""
        ranges = {"starts": start, "ends": end, "axes": (2, 3), "steps": (stride, stride)}
        return self.node("Slice", name, x, *(self.constant(f"{name}/{kind}", at) for kind, at in ranges.items()))

    def dense(self, layer: Layer, x: str) -> str:
        """A dense layer. The first one flattens the image."""
        assert isinstance(layer.config, DenseConfig)
        if layer.name == self.model.dense_names[0]:
            x = self.node("Flatten", "flat", x)
        output = "logits" if layer.operation == "classifier" else layer.name
        groups = layer.config.groups
        if groups == 1:
            self.nodes.append(
                helper.make_node("Gemm", [x, *self.parameters(layer.name)], [output], layer.name, transB=1)
            )
            return output
        parts = [f"{layer.name}/group{group}" for group in range(groups)]
        inputs = [f"{part}/input" for part in parts]
        self.nodes.append(helper.make_node("Split", [x], inputs, f"{layer.name}/split", axis=1))
        arrays = [np.split(self.layers[layer.name][kind], groups) for kind in ("kernel", "bias")]
        for part, units, kernel, bias in zip(parts, inputs, *arrays, strict=True):
            constants = self.constant(f"{part}/kernel", kernel), self.constant(f"{part}/bias", bias)
            self.node("Gemm", part, units, *constants, transB=1)
        return self.node("Concat", layer.name, *parts, axis=1)

    def dropout(self, name: str, x: str) -> str:
        """Dropout at test time: the identity, or a multiplication by the kept fraction."""
        dropout = self.model.dropout
        if dropout.scaled_in == "training":
            return x
        return self.node("Mul", name, x, self.constant(f"{name}/keep", np.float32(1.0 - dropout.rate)))


def _without_groups(kernel: np.ndarray, groups: int) -> np.ndarray:
    """A kernel (rows, columns, out, in / groups, height, width) that reads all channels, with zeros between groups."""
    rows, columns, features, inputs, *window = kernel.shape
    full = np.zeros((rows, columns, groups, features // groups, groups, inputs, *window), kernel.dtype)
    for group, part in enumerate(np.split(kernel, groups, axis=2)):
        full[:, :, group, :, group] = part
    return full.reshape(rows, columns, features, groups * inputs, *window)
