"""Torchvision's state dict of an AlexNet: its names, and conversion to and from this project's parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import PyTree

from alexnet_jax.config import ConvConfig, DenseConfig, ModelConfig
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.preprocessing.statistics import torchvision_statistics
from alexnet_jax.presets.imagenet import imagenet_torchvision
from alexnet_jax.weights.channels_first import Layers, to_channels_first
from alexnet_jax.weights.pytorch_file import read_state_dict
from alexnet_jax.weights.recognize import layers_in_order, recognize_shapes, with_widths
from alexnet_jax.weights.weights import Weights, weights_of_another_program

_LUCID_MODULES = {"fc6": "classifier.1", "fc7": "classifier.4", "classifier": "classifier.6"}
"""The dense layers of lucid's AlexNet, ``lucid-dl/alexnet`` on the Hugging Face Hub."""
_KINDS = {"weight": "kernel", "bias": "bias"}


def read_torch_weights(path: Path, model: ModelConfig | None) -> Weights:
    """Reads a file of ``torch.save`` with a state dict that has torchvision's names.

    Args:
        path: the ``.pth`` or ``.pt`` file.
        model: the net, or None to recognise it by its shapes. Its widths are those of the file.

    Raises:
        AlexNetError: the file cannot be read, or has another net.
        UsageError: the shapes fit no named net, or several.
    """
    return weights_from_state_dict(read_state_dict(path), model)


def weights_from_state_dict(state: Mapping[str, np.ndarray], model: ModelConfig | None) -> Weights:
    """The weights in a state dict with torchvision's names. Arguments and errors as for ``read_torch_weights``."""
    state = {_torchvision_name(name): array for name, array in state.items()}
    layers = _layers(state)
    modules = {name.rpartition(".")[0] for name in state}

    def has_these_modules(config: ModelConfig) -> bool:
        return set(torchvision_names(config).values()) == modules

    model = recognize_shapes(layers, has_these_modules) if model is None else with_widths(model, layers)
    statistics = torchvision_statistics(model.channels)
    return weights_of_another_program(imagenet_torchvision(), model, layers, statistics, is_bgr=False)


def state_dict(params: PyTree, config: ModelConfig) -> dict[str, np.ndarray]:
    """The parameters by torchvision's names, in PyTorch's memory format.

    Raises:
        UsageError: a layer is locally connected, or a dense layer has groups: PyTorch has no such layers. Or the net
            has batch normalisation, which torchvision's alexnet does not have.
    """
    for layer in config.layers():
        if isinstance(layer.config, ConvConfig) and not layer.config.shared_kernel:
            raise UsageError(f"{layer.name} is locally connected: PyTorch has no such layer, use --format alexnet_jax")
        if isinstance(layer.config, DenseConfig) and layer.config.groups > 1:
            raise UsageError(f"{layer.name} has groups: PyTorch has no such dense layer, use --format alexnet_jax")
        if layer.operation == "batch_norm":
            raise UsageError(
                f"{layer.name} is batch normalisation: torchvision's alexnet has none, use --format alexnet_jax"
            )
    layers, names = to_channels_first(params, config, is_bgr=False), torchvision_names(config)
    return {f"{names[layer]}.{kind}": layers[layer][ours] for layer in layers for kind, ours in _KINDS.items()}


def torchvision_names(config: ModelConfig) -> dict[str, str]:
    """Torchvision's name of each layer with parameters, by ours: ``conv1`` is ``features.0``."""
    return {layer: module for module, layer in torchvision_modules(config).items() if layer in config.layer_names}


def torchvision_modules(config: ModelConfig) -> dict[str, str]:
    """Our name of each module of the net in torchvision's form: ``features.2`` is ``pool1``.

    Activations, pooling and dropout are modules, too. ``classifier`` begins with the first dropout or dense layer.
    """
    names: dict[str, str] = {}
    sequence, first = "features", 0
    for index, layer in enumerate(config.layers()):
        if sequence == "features" and layer.operation in ("dropout", "dense", "classifier"):
            sequence, first = "classifier", index
        names[f"{sequence}.{index - first}"] = layer.name
    return names


def _torchvision_name(name: str) -> str:
    """The name without the ``module.`` that ``DataParallel`` adds, and with torchvision's names of dense layers."""
    name = name.replace("module.", "")
    module, _, kind = name.rpartition(".")
    return f"{_LUCID_MODULES[module]}.{kind}" if module in _LUCID_MODULES else name


def _layers(state: Mapping[str, np.ndarray]) -> Layers:
    modules: dict[str, dict[int, dict[str, np.ndarray]]] = {"features": {}, "classifier": {}}
    for name, array in state.items():
        match = re.fullmatch(r"(features|classifier)\.(\d{1,3})\.(weight|bias)", name)
        if match is None:
            raise AlexNetError(f"{name!r} is not a parameter of torchvision's AlexNet")
        sequence, index, kind = match.groups()
        modules[sequence].setdefault(int(index), {})[_KINDS[kind]] = array
    convs, dense = ([layers[index] for index in sorted(layers)] for layers in modules.values())
    return layers_in_order(convs, dense)
