"""Which net other programs' weights are of, and their layers by this project's names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from alexnet_jax.config import LocalResponseNorm, ModelConfig
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.variants import VARIANTS, variant
from alexnet_jax.weights.caffe import CaffeNet
from alexnet_jax.weights.channels_first import Layers, layer_shapes

_OPERATIONS = {"ReLU": "relu", "TanH": "tanh", "LRN": "local_response_norm", "Pooling": "max_pool"}


def torchvision_names(config: ModelConfig) -> dict[str, str]:
    """What torchvision calls each layer: its place in ``features`` or ``classifier``, where operations count too."""
    names, place = {}, 0
    for number, conv in enumerate(config.convs, start=1):
        names[f"conv{number}"] = f"features.{place}"
        place += 1 + len(conv.then)
    before = config.dropout.place == "before"
    for index, name in enumerate(config.dense_names):
        names[name] = f"classifier.{3 * index + (before and index < len(config.dense))}"
    return names


def layers_of_state_dict(state: Mapping[str, np.ndarray]) -> Layers:
    """The layers of a PyTorch state dict in torchvision's style, by their order in ``features`` and ``classifier``.

    Raises AlexNetError for other names.
    """
    places: dict[tuple[bool, int], dict[str, np.ndarray]] = {}
    for name, array in state.items():
        place = re.fullmatch(r"(features|classifier)\.(\d{1,3})\.(weight|bias)", name)
        if place is None:
            raise AlexNetError(f"holds {name!r}, which is no layer of an AlexNet in torchvision's style")
        kind = "kernel" if place[3] == "weight" else "bias"
        places.setdefault((place[1] == "classifier", int(place[2])), {})[kind] = array
    return _named(
        (places[place] for place in sorted(places) if not place[0]),
        (places[place] for place in sorted(places) if place[0]),
    )


def _named(convs: Iterable[dict[str, np.ndarray]], dense: Iterable[dict[str, np.ndarray]]) -> Layers:
    layers = {f"conv{number}": layer for number, layer in enumerate(convs, start=1)}
    layers |= {f"fc{number}": layer for number, layer in enumerate(dense, start=len(layers) + 1)}
    for name, layer in layers.items():
        if set(layer) != {"kernel", "bias"} or layer["kernel"].ndim not in (2, 4) or layer["bias"].ndim != 1:
            raise AlexNetError(f"has no kernel and bias that fit together for {name}")
    return layers


def recognize_layers(layers: Layers) -> ModelConfig:
    """The one named net, but for its classes, that has exactly the shapes of ``layers``.

    Raises UsageError where none or several have them.
    """
    fitting = []
    for name in VARIANTS:
        config = variant(name)
        if set(layer_shapes(config)) == set(layers):
            config = replace(config, classes=len(layers[config.dense_names[-1]]["bias"]))
            if layer_shapes(config) == {name: layer["kernel"].shape for name, layer in layers.items()}:
                fitting.append((name, config))
    if len(fitting) == 1:
        return fitting[0][1]
    remedy = "say which net it is with --variant"
    if fitting:
        raise UsageError(f"fits {', '.join(name for name, _ in fitting)} alike: {remedy}")
    raise UsageError(f"has the shapes of no named net: {remedy}, which is then taken with the widths found here")


def with_widths(config: ModelConfig, layers: Layers) -> ModelConfig:
    """``config`` with the channels, units and classes of ``layers``.

    Raises AlexNetError where it has other layers.
    """
    if set(layer_shapes(config)) != set(layers):
        raise AlexNetError(f"holds the layers {', '.join(layers)}, and the net has {', '.join(layer_shapes(config))}")
    widths = {name: len(layer["bias"]) for name, layer in layers.items()}
    convs = (replace(conv, features=widths[f"conv{number}"]) for number, conv in enumerate(config.convs, start=1))
    dense = (
        replace(layer, features=widths[name]) for name, layer in zip(config.dense_names, config.dense, strict=False)
    )
    return replace(
        config,
        convs=tuple(convs),
        dense=tuple(dense),
        classes=widths[config.dense_names[-1]],
        channels=layers["conv1"]["kernel"].shape[1],
    )


def layers_of_caffe(net: CaffeNet) -> Layers:
    """The layers of a Caffe net by their order, since those who fine-tune rename the last."""

    def parts(kind: str) -> Iterable[dict[str, np.ndarray]]:
        return (dict(zip(("kernel", "bias"), layer.arrays, strict=False)) for layer in net.layers if layer.kind == kind)

    return _named(parts("Convolution"), parts("InnerProduct"))


def recognize_caffe(net: CaffeNet) -> ModelConfig:
    """Which of Caffe's nets has the operations of ``net`` in their order, with the constants of its normalisation.

    Raises AlexNetError where none has.
    """
    for name in ("caffe_alexnet", "caffenet"):
        config = variant(name)
        if [conv.then for conv in config.convs] == _operations(net):
            norm = _local_response_norm(net, config)
            return replace(config, local_response_norm=norm)
    kinds = " ".join(layer.kind for layer in net.layers)
    raise AlexNetError(f"is neither bvlc_alexnet nor CaffeNet: its layers are {kinds[:200]}")


def _operations(net: CaffeNet) -> list[tuple[str, ...]]:
    """What follows each convolution, by this project's names."""
    followers: list[list[str]] = []
    for layer in net.layers:
        if layer.kind == "Convolution":
            followers.append([])
        elif layer.kind == "InnerProduct":
            break
        elif followers and layer.kind in _OPERATIONS:
            followers[-1].append(_OPERATIONS[layer.kind])
    return [tuple(operations) for operations in followers]


def _local_response_norm(net: CaffeNet, config: ModelConfig) -> LocalResponseNorm:
    """The constants that the file gives; Caffe divides alpha by the window and knows no towers."""
    settings = next(layer.settings for layer in net.layers if layer.kind == "LRN")
    if settings["norm_region"] != "ACROSS_CHANNELS":
        raise AlexNetError(f"normalises {settings['norm_region']}: AlexNet does so across channels")
    return replace(
        config.local_response_norm,
        size=int(settings["local_size"]),
        k=float(settings["k"]),
        alpha=float(settings["alpha"]),
        beta=float(settings["beta"]),
    )
