"""Which layers to read, by this project's names or by torchvision's."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import PyTree

from alexnet_jax.config import ModelConfig
from alexnet_jax.errors import unknown_name
from alexnet_jax.net.features import check_layer, layers_with_parameters
from alexnet_jax.variants.programs import torchvision
from alexnet_jax.weights.torchvision import torchvision_modules


def find_layers(names: Sequence[str], params: PyTree, config: ModelConfig) -> dict[str, str]:
    """This project's name of each layer in ``names``, which can also be torchvision's.

    Torchvision's names mean the same layer in every net: ``features.12`` is ``pool5`` also in a net with normalisation.

    Args:
        names: the layers.
        params: the net's parameters. The last layers may be missing.
        config: the net.

    Raises:
        UsageError: the net has no such layer, or no parameters for it.
    """
    modules = torchvision_modules(torchvision())
    known = [layer.name for layer in config.layers()]
    found = {}
    for name in names:
        layer = modules.get(name, name)
        if layer not in known:
            raise unknown_name("layer", name, modules if "." in name else known)
        check_layer(params, config, layer)
        found[name] = layer
    return found


def usual_layers(params: PyTree, config: ModelConfig) -> tuple[str, ...]:
    """The last layer of each convolution, the ReLU of each hidden dense layer, and the classifier, if there are any."""
    ends: dict[str, str] = {}
    present = layers_with_parameters(params, config)
    for layer in config.layers():
        if layer.name in present and layer.operation != "dropout":
            number = layer.name.lstrip("abcdefghijklmnopqrstuvwxyz")
            ends[number] = layer.name
    return tuple(ends.values())


def last_hidden_layer(params: PyTree, config: ModelConfig) -> str:
    """The last layer before the classifier and its dropout: ``relu7`` in an eight-layer net, ``pool5`` in convolutions.

    The paper compares images by the activations of this layer (section 6.1).
    """
    present = layers_with_parameters(params, config)
    layers = [layer for layer in config.layers() if layer.name in present]
    return [layer.name for layer in layers if layer.operation not in ("dropout", "classifier")][-1]
