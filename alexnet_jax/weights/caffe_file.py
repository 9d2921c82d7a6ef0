"""Reads the layers and mean images in Caffe's binary protobuf files, without Caffe.

There are two formats, the current one and V1, which has other fields and numbers for the types of layers. The names of
V1's types are those of Caffe's ``upgrade_proto.cpp``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from jaxtyping import Float

from alexnet_jax.errors import AlexNetError, first_line, printable
from alexnet_jax.weights.caffe_schema import message_class

_V1_KINDS = {
    1: "Accuracy",
    3: "Concat",
    4: "Convolution",
    5: "Data",
    6: "Dropout",
    8: "Flatten",
    12: "ImageData",
    14: "InnerProduct",
    15: "LRN",
    17: "Pooling",
    18: "ReLU",
    19: "Sigmoid",
    20: "Softmax",
    21: "SoftmaxWithLoss",
    22: "Split",
    23: "TanH",
    24: "WindowData",
    25: "Eltwise",
    26: "Power",
    29: "MemoryData",
    32: "DummyData",
    33: "Slice",
    34: "MVN",
}
_AXES = {"Convolution": 4, "InnerProduct": 2}
"""Number of axes of the kernel. Biases have one."""
_REGIONS = {0: "ACROSS_CHANNELS", 1: "WITHIN_CHANNEL"}
_POOLS = {0: "MAX", 1: "AVE", 2: "STOCHASTIC"}
_MAX_AXES = 32  # Caffe's limit
_MAX_LAYERS = 10_000  # an empty layer takes two bytes in a file and hundreds in memory
_MAX_BYTES = 2**31  # protobuf's limit for a message


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """A layer of a Caffe net."""

    name: str
    kind: str
    """Caffe's name of its type, such as Convolution, LRN, Pooling, InnerProduct or ReLU."""
    arrays: tuple[np.ndarray, ...]
    """The kernel (out, in / group, height, width) or (out, in), then the bias (out,). For other types, as stored."""
    settings: Mapping[str, int | float | str]
    """Its hyperparameters, with Caffe's defaults for what the file omits. LRN: local_size, alpha, beta, k, norm_region.
    Convolution: kernel_size, stride, pad, dilation, group. Pooling: pool, kernel_size, stride, pad. If height and width
    differ, kernel_h and kernel_w replace kernel_size, and so on."""


@dataclass(frozen=True, eq=False)
class CaffeNet:
    """The contents of a ``.caffemodel`` file."""

    layers: tuple[CaffeLayer, ...]
    """In the order of the file."""
    image_size: int | None
    """Side in pixels of the square images that the net reads, or None if the file does not say."""


def read_caffemodel(path: Path) -> CaffeNet:
    """Reads a ``.caffemodel`` file, of the current format or V1.

    Raises:
        AlexNetError: the file is not one of Caffe's, is damaged, or a layer has no kernel or bias.
    """
    try:
        net = _parse(path, "NetParameter")
        stored = net.layer or net.layers
        if len(stored) > _MAX_LAYERS:
            raise AlexNetError(f"has {len(stored):,} layers, more than any net; download it again")
        layers = tuple(_layer(layer) for layer in stored)
        if not any(layer.arrays for layer in layers):
            raise AlexNetError("has no layer with weights; use a .caffemodel that Caffe has saved")
    except AlexNetError as error:
        raise AlexNetError(f"{path.name}: {error}") from error
    return CaffeNet(layers, next(_image_sizes(net, stored), None))


def read_mean(path: Path) -> Float[np.ndarray, "height width channels"]:
    """Reads a mean image, a ``.binaryproto`` file.

    Returns:
        The image, float32 in 0..255, RGB.

    Raises:
        AlexNetError: the file is not a mean image of Caffe, or is damaged.
    """
    try:
        image = _without_leading_ones(_array(_parse(path, "BlobProto"), "the mean image"), 3)
        if image.ndim != 3 or len(image) != 3:
            raise AlexNetError(f"has the shape {image.shape}, not (3, height, width); use a mean of colour images")
    except AlexNetError as error:
        raise AlexNetError(f"{path.name}: {error}") from error
    return np.ascontiguousarray(image[::-1].transpose(1, 2, 0), np.float32)


def _parse(path: Path, message: str) -> Any:
    try:
        if path.stat().st_size >= _MAX_BYTES:
            raise AlexNetError("has 2 GiB or more, which no file of Caffe has; use a smaller one")
        return message_class(message).FromString(path.read_bytes())
    except OSError as error:
        raise AlexNetError(f"cannot be read ({error.strerror or first_line(error)})") from error
    except DecodeError as error:
        raise AlexNetError("is truncated, or not a binary file of Caffe; download it again") from error


def _layer(layer: Any) -> CaffeLayer:
    is_v1 = layer.DESCRIPTOR.name == "V1LayerParameter"
    if is_v1 and layer.HasField("layer"):
        raise AlexNetError("has Caffe's V0 format; convert it with Caffe's upgrade_net_proto_binary")
    name = layer.name.decode(errors="replace")
    kind = _V1_KINDS.get(layer.type, f"V1 type {layer.type}") if is_v1 else layer.type.decode(errors="replace")
    return CaffeLayer(name, kind, _arrays(layer, printable(name), kind), _settings(layer, kind))


def _arrays(layer: Any, name: str, kind: str) -> tuple[np.ndarray, ...]:
    arrays = tuple(_array(blob, name) for blob in layer.blobs)
    if kind not in _AXES:
        return arrays
    parameter = layer.convolution_param if kind == "Convolution" else layer.inner_product_param
    axes = (_AXES[kind], 1) if parameter.bias_term else (_AXES[kind],)
    if len(arrays) != len(axes):
        raise AlexNetError(f"{name} has {len(arrays)} arrays, not {len(axes)}; use a .caffemodel that Caffe has saved")
    arrays = tuple(_without_leading_ones(array, count) for array, count in zip(arrays, axes, strict=True))
    if tuple(array.ndim for array in arrays) != axes:
        raise AlexNetError(f"{name} has arrays of {[array.ndim for array in arrays]} axes, not {list(axes)}")
    if kind == "InnerProduct" and parameter.transpose:
        return (arrays[0].T, *arrays[1:])
    return arrays


def _without_leading_ones(array: np.ndarray, axes: int) -> np.ndarray:
    """V1 stores every array with four axes: a kernel as (1, 1, out, in), a bias as (1, 1, 1, out)."""
    while array.ndim > axes and len(array) == 1:
        array = array[0]
    return array


def _array(blob: Any, name: str) -> np.ndarray:
    shape = tuple(blob.shape.dim) if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    parts, dtype = (blob.double_data, "<f8") if blob.double_data else (blob.data, "<f4")
    numbers = b"".join(parts)
    is_valid = len(shape) <= _MAX_AXES and all(size > 0 for size in shape)
    if not is_valid or math.prod(shape) * np.dtype(dtype).itemsize != len(numbers):
        raise AlexNetError(f"{name} is damaged: its shape does not fit its {len(numbers):,} bytes; download it again")
    return np.frombuffer(numbers, dtype).reshape(shape)


def _settings(layer: Any, kind: str) -> dict[str, int | float | str]:
    if kind == "LRN":
        norm = layer.lrn_param
        numbers = {name: shortest_decimal(getattr(norm, name)) for name in ("alpha", "beta", "k")}
        region = _REGIONS.get(norm.norm_region, f"region {norm.norm_region}")
        return {"local_size": norm.local_size, **numbers, "norm_region": region}
    if kind == "Convolution":
        conv = layer.convolution_param
        dilation = {"dilation": max(conv.dilation, default=1)}
        return {**_windows(conv), **dilation, "group": conv.group}
    if kind == "Pooling":
        pool = layer.pooling_param
        return {"pool": _POOLS.get(pool.pool, f"pool {pool.pool}"), **_windows(pool)}
    return {}


def shortest_decimal(number: float) -> float:
    """The shortest decimal that rounds to ``number`` in float32: 0.0001, not 9.999999747e-05."""
    return float(str(np.float32(number)))


def _windows(parameter: Any) -> dict[str, int | float | str]:
    settings: dict[str, int | float | str] = {}
    for name, stem, default in (("kernel_size", "kernel", 0), ("stride", "stride", 1), ("pad", "pad", 0)):
        sides = (getattr(parameter, name), getattr(parameter, f"{stem}_h"), getattr(parameter, f"{stem}_w"))
        both, height, width = (list(side) for side in sides)
        sizes = both or height + width or [default]
        same = len(set(sizes)) == 1
        settings |= {name: sizes[0]} if same else {f"{stem}_h": sizes[0], f"{stem}_w": sizes[-1]}
    return settings


def _image_sizes(net: Any, layers: Any) -> Iterator[int]:
    """The sizes of square images that the file states: those of crops, then those of inputs."""
    for layer in layers:
        for parameter in (layer.transform_param, layer.data_param, layer.image_data_param):
            if parameter.crop_size:
                yield parameter.crop_size
    shapes = [net.input_dim[:4], *(shape.dim for shape in net.input_shape)]
    if net.layer:
        shapes += [shape.dim for layer in layers for shape in layer.input_param.shape]
    for shape in shapes:
        if len(shape) == 4 and shape[2] == shape[3] > 0:
            yield shape[3]
