"""The outputs of a net's layers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

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

    Layers after the last of ``names`` are not computed.

    Args:
        params: the net's parameters, such as ``load_run(path).params``.
        images: preprocessed images (``preprocess``), whose side is ``config.image_size``.
        config: the net, such as ``load_run(path).config.model``.
        names: the layers: ``conv1``, ``relu1``, ``norm1``, ``pool1``, ..., ``fc8``. ``config.layers()`` lists them.
        batch_stats: the running statistics of a net with batch normalisation, such as ``load_run(path).batch_stats``.

    Returns:
        An array for each name: (batch, height, width, channels), or (batch, units) for the dense layers and what
        follows them. ``fc8``, the classifier of an eight-layer net, holds the logits.

    Raises:
        UsageError: the net has no layer of that name, ``batch_stats`` is missing, or the images have a wrong shape or
            dtype.
    """
    _check_preprocessed(images, config)
    known = [layer.name for layer in config.layers()]
    for name in names:
        if name not in known:
            raise unknown_name("layer", name, known)
    batch_stats = batch_stats or {}
    for name in config.batch_norm_names:
        if name not in batch_stats:
            raise UsageError(
                f"batch_stats has no {name}: pass the running statistics, such as load_run(path).batch_stats"
            )
    outputs = _features(params, batch_stats, images, config, tuple(names))
    return {name: outputs[name] for name in names}  # jit sorts the keys


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
    _, state = AlexNet(config).apply(variables, images, train=False, mutable="intermediates")
    return {name: state["intermediates"][name] for name in names}
