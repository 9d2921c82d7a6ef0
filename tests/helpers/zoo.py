"""The bvlc_alexnet of the ONNX model zoo: the graph in the package onnx, with other weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from alexnet_jax.weights.channels_first import Layers

_GRAPH = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light" / "light_bvlc_alexnet.onnx"
_KINDS = {"w": "kernel", "b": "bias"}


def zoo_graph() -> onnx.ModelProto:
    """The graph as it is in the package: nodes of the kind ``ConstantOfShape`` stand for the weights."""
    return onnx.load(_GRAPH)


def zoo_model(layers: Mapping[str, Mapping[str, np.ndarray]], image_size: int = 224) -> onnx.ModelProto:
    """The graph with the kernels and biases of ``layers``, channels first, which can have other widths."""
    model = zoo_graph()
    graph = model.graph
    nodes = [node for node in graph.node if node.op_type != "ConstantOfShape"]
    names = [name for node in nodes for name in node.input[1:3] if node.op_type in ("Conv", "Gemm")]
    parts = {name: name.split("_")[:2] for name in names}  # conv1_w_0
    arrays = [numpy_helper.from_array(layers[layer][_KINDS[kind]], name) for name, (layer, kind) in parts.items()]
    flat = numpy_helper.from_array(np.array([-1, layers["fc6"]["kernel"].shape[1]]), "OC2_DUMMY_1")
    (images,) = [value for value in graph.input if value.name == "data_0"]
    for side in images.type.tensor_type.shape.dim[2:]:
        side.dim_value = image_size
    (output,) = graph.output
    output.type.tensor_type.shape.dim[1].dim_value = len(layers["fc8"]["bias"])
    for field, values in (("node", nodes), ("initializer", [*arrays, flat]), ("input", [images])):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    return model


def drawn_layers(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> Layers:
    """Random kernels of one scale and biases, for channels-first shapes of kernels."""
    rng = np.random.default_rng(seed)
    return {
        name: {
            "kernel": rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:]))),
            "bias": rng.standard_normal(shape[0], np.float32),
        }
        for name, shape in shapes.items()
    }
