"""The outputs of a net's layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import takewhile

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from alexnet_jax.config import ModelConfig
from alexnet_jax.errors import UsageError, unknown_name
from alexnet_jax.net.model import AlexNet


def features(
    params: PyTree,
    images: Float[Array | np.ndarray, "batch size size channels"],
    config: ModelConfig,
    names: Sequence[str],
    batch_stats: PyTree | None = None,
) -> dict[str, Float[Array, "batch ..."]]:
    """The outputs of layers at test time, without dropout. A pure function, compiled once for each choice of layers.

    Layers after the last of ``names`` are not computed and need no parameters.

    Args:
        params: the net's parameters, such as ``load_run(path).params``. The last layers may be missing.
        images: preprocessed images (``preprocess``), whose side is ``config.image_size``.
        config: the net, such as ``load_run(path).config.model``.
        names: the layers: ``conv1``, ``relu1``, ``norm1``, ``pool1``, ..., ``fc8``. ``config.layers()`` lists them.
        batch_stats: the running statistics of a net with batch normalisation, such as ``load_run(path).batch_stats``.

    Returns:
        An array for each name: (batch, height, width, channels), or (batch, units) for the dense layers and what
        follows them. ``fc8``, the classifier of an eight-layer net, holds the logits.

    Raises:
        UsageError: the net has no layer of that name, its parameters or ``batch_stats`` are missing, or the images have
            a wrong shape or dtype.
    """
    _check_preprocessed(images, config)
    for name in names:
        check_layer(params, config, name)
    batch_stats = batch_stats or {}
    for name in config.batch_norm_names:
        if name not in batch_stats:
            raise UsageError(
                f"batch_stats has no {name}: pass the running statistics, such as load_run(path).batch_stats"
            )
    outputs = _features(params, batch_stats, images, config, tuple(names))
    return {name: outputs[name] for name in names}  # jit sorts the keys


def layers_with_parameters(params: PyTree, config: ModelConfig) -> tuple[str, ...]:
    """The names of the layers that ``params`` suffice for: all, or those before the first one that is missing.

    A dropout before the missing layer is left out.
    """
    needed = set(config.layer_names)
    has_all = list(takewhile(lambda layer: layer.name not in needed or layer.name in params, config.layers()))
    while has_all and has_all[-1].operation == "dropout":
        has_all.pop()
    return tuple(layer.name for layer in has_all)


def check_layer(params: PyTree, config: ModelConfig, name: str) -> None:
    """Checks that the net has the layer ``name`` and the parameters for it.

    Raises:
        UsageError: the layer or its parameters are missing.
    """
    known = [layer.name for layer in config.layers()]
    if name not in known:
        raise unknown_name("layer", name, known)
    present = layers_with_parameters(params, config)
    if name not in present:
        end = f"these weights end at {present[-1]}" if present else "these weights have no first layer"
        raise UsageError(f"layer {name}: {end}; use one of {', '.join(present)}, or a whole net, such as torchvision")


def _check_preprocessed(images: Array | np.ndarray, config: ModelConfig) -> None:
    expected = (config.image_size, config.image_size, config.channels)
    if images.ndim != 4 or images.shape[1:] != expected or not np.issubdtype(images.dtype, np.floating):
        sides = ", ".join(map(str, expected))
        remedy = f"use floats (batch, {sides}), which `preprocess` makes"
        raise UsageError(f"images have shape {images.shape} and dtype {images.dtype}: {remedy}")


@partial(jax.jit, static_argnames=("config", "names"))
def _features(
    params: PyTree, batch_stats: PyTree, images: Array, config: ModelConfig, names: tuple[str, ...]
) -> dict[str, Array]:
    variables = {"params": params, "batch_stats": batch_stats}
    last = [layer.name for layer in config.layers() if layer.name in names][-1:]
    net = AlexNet(config, last_layer=last[0] if last else None)
    _, state = net.apply(variables, images, train=False, mutable="intermediates")
    return {name: state["intermediates"][name] for name in names}
