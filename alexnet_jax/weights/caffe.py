"""Caffe's nets: recognition of its two AlexNets, and conversion to this project's parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from alexnet_jax.config import LocalResponseNorm, ModelConfig
from alexnet_jax.errors import AlexNetError, printable
from alexnet_jax.preprocessing.statistics import caffe_statistics
from alexnet_jax.presets.imagenet import imagenet_caffe
from alexnet_jax.variants import variant
from alexnet_jax.weights.caffe_file import CaffeLayer, CaffeNet, read_caffemodel, read_mean
from alexnet_jax.weights.channels_first import Layers
from alexnet_jax.weights.recognize import layers_in_order, with_widths
from alexnet_jax.weights.weights import Weights, weights_of_another_program

_OPERATIONS = {"ReLU": "relu", "TanH": "tanh", "LRN": "local_response_norm", "Pooling": "max_pool"}


def read_caffe_weights(path: Path, model: ModelConfig | None, mean: Path | None = None) -> Weights:
    """Reads a ``.caffemodel`` file.

    Args:
        path: the file.
        model: the net, or None to recognise it by its operations. Its widths are those of the file.
        mean: the mean image that the net was trained with, a ``.binaryproto`` file. None means Caffe's usual channel
            means.

    Raises:
        AlexNetError: a file cannot be read, or has another net.
    """
    return weights_of_caffe_net(read_caffemodel(path), model, None if mean is None else read_mean(mean))


def weights_of_caffe_net(
    net: CaffeNet, model: ModelConfig | None, mean: Float[np.ndarray, "height width channels"] | None = None
) -> Weights:
    """The weights of a net that Caffe trained, with Caffe's preprocessing.

    Args:
        net: the net.
        model: as for ``read_caffe_weights``.
        mean: the mean image, in 0..255, RGB. None means Caffe's usual channel means.

    Raises:
        AlexNetError: it is another net.
    """
    layers = _layers(net)
    model = with_widths(_recognize(net) if model is None else model, layers)
    if net.image_size is not None:
        model = replace(model, image_size=net.image_size)
    statistics = caffe_statistics(mean)
    recipe = imagenet_caffe()
    recipe = replace(recipe, data=replace(recipe.data, resize="squash"))
    return weights_of_another_program(recipe, model, layers, statistics, is_bgr=True)


def _layers(net: CaffeNet) -> Layers:
    """The layers by their order: users who fine-tune a net rename its last layer."""
    convs = [_kernel_and_bias(layer) for layer in net.layers if layer.kind == "Convolution"]
    dense = [_kernel_and_bias(layer) for layer in net.layers if layer.kind == "InnerProduct"]
    return layers_in_order(convs, dense)


def _kernel_and_bias(layer: CaffeLayer) -> dict[str, np.ndarray]:
    if len(layer.arrays) == 1:
        return {"kernel": layer.arrays[0]}
    kernel, bias = layer.arrays
    return {"kernel": kernel, "bias": bias}


def _recognize(net: CaffeNet) -> ModelConfig:
    """The variant with the operations of ``net`` in the same order, and the constants of the file's normalisation."""
    for name in ("caffe_alexnet", "caffenet"):
        config = variant(name)
        if [conv.then for conv in config.convs] == _operations(net):
            _check_windows(net, config)
            return replace(config, local_response_norm=_local_response_norm(net, config))
    kinds = " ".join(layer.kind for layer in net.layers)
    raise AlexNetError(f"is neither bvlc_alexnet nor CaffeNet: its layers are {kinds[:200]}")


def _operations(net: CaffeNet) -> list[tuple[str, ...]]:
    """The operations after each convolution, by this project's names."""
    operations: list[list[str]] = []
    for layer in net.layers:
        if layer.kind == "Convolution":
            operations.append([])
        elif layer.kind == "InnerProduct":
            break
        elif operations and layer.kind in _OPERATIONS:
            operations[-1].append(_OPERATIONS[layer.kind])
    return [tuple(names) for names in operations]


def _check_windows(net: CaffeNet, config: ModelConfig) -> None:
    """Checks the settings of convolutions and pooling, most of which the shapes of kernels do not show."""
    pool = {"pool": "MAX", "kernel_size": config.max_pool.size, "stride": config.max_pool.stride, "pad": 0}
    convs = iter(config.convs)
    for layer in net.layers:
        expected: Mapping[str, object] = {}
        if layer.kind == "Convolution" and (conv := next(convs, None)) is not None:
            expected = {"stride": conv.stride, "pad": conv.padding, "dilation": 1, "group": conv.groups}
        elif layer.kind == "Pooling":
            expected = pool
        for name, value in expected.items():
            if (found := layer.settings.get(name, "not square")) != value:
                raise AlexNetError(f"{printable(layer.name)}: {name} is {found}, and AlexNet has {value}")


def _local_response_norm(net: CaffeNet, config: ModelConfig) -> LocalResponseNorm:
    settings = next(layer.settings for layer in net.layers if layer.kind == "LRN")
    if settings["norm_region"] != "ACROSS_CHANNELS":
        raise AlexNetError(f"normalises {settings['norm_region']}, and AlexNet normalises across channels")
    return replace(
        config.local_response_norm,
        size=int(settings["local_size"]),
        k=float(settings["k"]),
        alpha=float(settings["alpha"]),
        beta=float(settings["beta"]),
    )
