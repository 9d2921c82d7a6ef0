"""Caffe's nets in ONNX files, as in the ONNX model zoo. No other module of ``weights`` imports the package onnx."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import helper, numpy_helper

from alexnet_jax.config import ModelConfig
from alexnet_jax.errors import AlexNetError, first_line, printable
from alexnet_jax.weights.caffe import weights_of_caffe_net
from alexnet_jax.weights.caffe_file import CaffeLayer, CaffeNet, read_mean, shortest_decimal
from alexnet_jax.weights.weights import Weights

_KINDS = {
    "Conv": "Convolution",
    "Gemm": "InnerProduct",
    "LRN": "LRN",
    "MaxPool": "Pooling",
    "Relu": "ReLU",
}
_ORDINARY_GEMM = {"alpha": 1.0, "beta": 1.0, "transA": 0}
_FLOATS = ("FLOAT", "DOUBLE", "FLOAT16")
_MAX_BYTES = 2**31  # protobuf's limit for a message


def read_onnx_weights(path: Path, model: ModelConfig | None, mean: Path | None = None) -> Weights:
    """Reads Caffe's AlexNet or CaffeNet from an ``.onnx`` file, such as ``bvlcalexnet-12.onnx`` of the model zoo.

    The net reads crops of 227 pixels, for which it was trained, also where the file states 224.

    Args:
        path: the file.
        model: the net, or None to recognise it by its operations. Its widths are those of the file.
        mean: as for ``read_caffe_weights``.

    Raises:
        AlexNetError: a file cannot be read, or has another net.
    """
    graph = _read_graph(path)
    arrays = {tensor.name: tensor for tensor in graph.initializer}
    layers = tuple(_layer(node, arrays) for node in _chain(graph, arrays))
    return weights_of_caffe_net(CaffeNet(layers, image_size=None), model, None if mean is None else read_mean(mean))


def _read_graph(path: Path) -> onnx.GraphProto:
    try:
        if path.stat().st_size >= _MAX_BYTES:
            raise AlexNetError("has 2 GiB or more, which no AlexNet has; use a smaller one")
        model = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise AlexNetError(f"cannot be read ({error.strerror or first_line(error)})") from error
    except DecodeError as error:
        raise AlexNetError("is truncated, or not an ONNX file; download it again") from error
    if model.producer_name == "alexnet_jax":
        raise AlexNetError("is an export of alexnet_jax, which includes crops; use the net that it was exported from")
    if any("Linear" in node.op_type for node in model.graph.node):
        raise AlexNetError("is quantised; use the float32 file of this net, such as bvlcalexnet-12.onnx")
    if not model.graph.node:
        raise AlexNetError("has no graph, so it is not a complete ONNX file; download it again")
    return model.graph


def _chain(graph: onnx.GraphProto, arrays: Mapping[str, Any]) -> Iterator[onnx.NodeProto]:
    """The nodes from the images to the output. In an AlexNet, each of them reads the output of the one before."""
    value = next((tensor.name for tensor in graph.input if tensor.name not in arrays), "")
    for node in graph.node:
        if value in node.input:
            yield node
            value = next(iter(node.output), "")


def _layer(node: onnx.NodeProto, arrays: Mapping[str, onnx.TensorProto]) -> CaffeLayer:
    name = printable(node.name or next(iter(node.output), "")) or node.op_type
    kind = _KINDS.get(node.op_type, node.op_type)
    try:
        attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        stored = node.input[1:3] if node.op_type in ("Conv", "Gemm") else ()
        layer = CaffeLayer(name, kind, tuple(_array(tensor, arrays) for tensor in stored), _settings(node, attributes))
    except AlexNetError as error:
        raise AlexNetError(f"{name}: {error}") from error
    except (ValueError, TypeError, KeyError) as error:  # of the package onnx, for a damaged tensor or attribute
        raise AlexNetError(f"{name} is damaged ({first_line(error)}); download it again") from error
    if node.op_type != "Gemm" or not layer.arrays or attributes.get("transB"):
        return layer
    return replace(layer, arrays=(layer.arrays[0].T, *layer.arrays[1:]))


def _array(name: str, arrays: Mapping[str, onnx.TensorProto]) -> np.ndarray:
    if name not in arrays:
        raise AlexNetError(f"{printable(name)} is not stored in the file; use one with trained weights")
    tensor = arrays[name]
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise AlexNetError(f"{printable(name)} is stored in another file; save the net as one file")
    if tensor.data_type not in [onnx.TensorProto.DataType.Value(kind) for kind in _FLOATS]:
        raise AlexNetError(f"{printable(name)} does not consist of floats; use the float32 file of this net")
    return numpy_helper.to_array(tensor)


def _settings(node: onnx.NodeProto, attributes: Mapping[str, Any]) -> dict[str, int | float | str]:
    """The settings by Caffe's names. ONNX divides the alpha of a normalisation by the window size, as Caffe does."""
    if attributes.get("auto_pad", b"NOTSET") != b"NOTSET":
        raise AlexNetError("has automatic padding, which Caffe does not have")
    match node.op_type:
        case "Conv":
            return {
                "stride": _one_of(attributes.get("strides", [1])),
                "pad": _one_of(attributes.get("pads", [0])),
                "dilation": _one_of(attributes.get("dilations", [1])),
                "group": attributes.get("group", 1),
            }
        case "MaxPool":
            return {
                "pool": "MAX",
                "kernel_size": _one_of(attributes["kernel_shape"]),
                "stride": _one_of(attributes.get("strides", [1])),
                # padding below and to the right only completes a last window, which crops of 227 pixels do not need
                "pad": _one_of(attributes.get("pads", [0, 0])[:2]),
            }
        case "LRN":
            numbers = {"alpha": ("alpha", 1e-4), "beta": ("beta", 0.75), "k": ("bias", 1.0)}
            return {
                "local_size": attributes["size"],
                **{ours: shortest_decimal(attributes.get(*theirs)) for ours, theirs in numbers.items()},
                "norm_region": "ACROSS_CHANNELS",
            }
        case "Gemm" if any(attributes.get(name, value) != value for name, value in _ORDINARY_GEMM.items()):
            raise AlexNetError("scales or transposes its inputs, which no layer of Caffe does")
    return {}


def _one_of(sizes: Sequence[int]) -> int | str:
    """The size that all sides share, or all sizes as a text."""
    return sizes[0] if len(set(sizes)) == 1 else str(list(sizes))
