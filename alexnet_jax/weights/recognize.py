"""Recognises which net weights belong to, by the shapes of their layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from alexnet_jax.config import ModelConfig
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.variants import VARIANTS, variant
from alexnet_jax.weights.channels_first import Layers, layer_shapes


def layers_in_order(convs: Sequence[dict[str, np.ndarray]], dense: Sequence[dict[str, np.ndarray]]) -> Layers:
    """Layers by this project's names, from those of another program in the order of the forward pass.

    Raises:
        AlexNetError: a layer does not consist of a kernel and a bias.
    """
    layers = {f"conv{number}": layer for number, layer in enumerate(convs, start=1)}
    layers |= {f"fc{number}": layer for number, layer in enumerate(dense, start=len(layers) + 1)}
    for name, layer in layers.items():
        if set(layer) != {"kernel", "bias"} or layer["kernel"].ndim not in (2, 4) or layer["bias"].ndim != 1:
            raise AlexNetError(f"{name} does not consist of a kernel and a bias")
    return layers


def recognize_shapes(layers: Layers, prefers: Callable[[ModelConfig], bool] = lambda _: False) -> ModelConfig:
    """The only named net that has the shapes of ``layers``, with their number of classes.

    Args:
        layers: kernels and biases in the memory format of PyTorch and Caffe.
        prefers: chooses one of several nets with these shapes.

    Raises:
        UsageError: no named net has these shapes, or several have.
    """
    shapes = {name: layer["kernel"].shape for name, layer in layers.items()}
    fitting = {}
    for name in VARIANTS:
        config = variant(name)
        if config.batch_norm_names:  # the running statistics are not among ``layers``
            continue
        if list(layer_shapes(config)) == list(shapes):
            config = replace(config, classes=len(layers[config.dense_names[-1]]["bias"]))
            if layer_shapes(config) == shapes:
                fitting[name] = config
    if not fitting:
        raise UsageError("its shapes are those of no named net: pass --variant, whose widths then come from the file")
    preferred = {name: config for name, config in fitting.items() if prefers(config)}
    if len(preferred) == 1:
        fitting = preferred
    if len(fitting) > 1:
        raise UsageError(f"its shapes fit {', '.join(fitting)}: pass --variant to choose one")
    (config,) = fitting.values()
    return config


def with_widths(config: ModelConfig, layers: Layers) -> ModelConfig:
    """``config`` with the channels, units and classes of ``layers``.

    Raises:
        AlexNetError: the net has other layers.
    """
    if list(layer_shapes(config)) != list(layers):
        raise AlexNetError(f"its layers are {', '.join(layers)}, and the net has {', '.join(layer_shapes(config))}")
    widths = {name: len(layer["bias"]) for name, layer in layers.items()}
    *hidden, head = config.dense_names
    return replace(
        config,
        convs=tuple(
            replace(conv, features=widths[f"conv{number}"]) for number, conv in enumerate(config.convs, start=1)
        ),
        dense=tuple(replace(dense, features=widths[name]) for name, dense in zip(hidden, config.dense, strict=True)),
        classes=widths[head],
        channels=layers["conv1"]["kernel"].shape[1],
    )
