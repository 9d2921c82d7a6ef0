"""Features of batches of stored images, on the device."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree, UInt8

from alexnet_jax.config import TrainConfig
from alexnet_jax.data.pipeline import evaluation_batches
from alexnet_jax.data.source import Source
from alexnet_jax.errors import NotFiniteError
from alexnet_jax.net.features import features
from alexnet_jax.preprocessing.augment import center_crop
from alexnet_jax.preprocessing.statistics import Statistics
from alexnet_jax.weights.weights import Weights

BATCH_SIZE = 64
"""Images in a batch. Rounding errors can depend on it, so a resumed read-out has the same."""


@partial(jax.jit, static_argnames=("config", "layers", "spatial_mean"))
def read_layers(
    params: PyTree,
    batch_stats: PyTree,
    statistics: Statistics,
    images: UInt8[Array, "batch height width channels"],
    *,
    config: TrainConfig,
    layers: tuple[str, ...],
    spatial_mean: bool = False,
) -> dict[str, Float[Array, "batch ..."]]:
    """The outputs of layers for stored images, whose centre crops the net reads. A pure function.

    Args:
        params: the net's parameters.
        batch_stats: the running statistics of batch normalisation, or an empty dict.
        statistics: those that preprocessing subtracts and divides by.
        images: stored images.
        config: the run or the recipe of the weights.
        layers: names of layers, as in ``features``.
        spatial_mean: whether to average over the pixels of each channel.

    Returns:
        An array for each layer: (batch, height, width, channels), or (batch, units) of dense layers and of means.
    """
    crops = center_crop(images, statistics, config.augment, config.model.image_size)
    outputs = features(params, crops, config.model, layers, batch_stats)
    return {name: jnp.mean(x, (1, 2)) if spatial_mean and x.ndim == 4 else x for name, x in outputs.items()}


def layer_shapes(weights: Weights, layers: tuple[str, ...], spatial_mean: bool = False) -> dict[str, tuple[int, ...]]:
    """The shape of one image's features in each layer. Arguments as for ``read_layers``."""
    size, channels = weights.config.data.image_size, weights.config.model.channels
    images = jax.ShapeDtypeStruct((1, size, size, channels), jnp.uint8)
    outputs = jax.eval_shape(_reader(weights, layers, spatial_mean), images)
    return {name: outputs[name].shape[1:] for name in layers}


def feature_batches(
    weights: Weights, source: Source, layers: tuple[str, ...], spatial_mean: bool = False, start: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """The features of all images in order, in batches of ``BATCH_SIZE``. The device works one batch ahead.

    Args:
        weights: the net.
        source: the images, at the stored size of ``weights``.
        layers: as for ``read_layers``.
        spatial_mean: as for ``read_layers``.
        start: the first image, a multiple of ``BATCH_SIZE``.

    Raises:
        NotFiniteError: features are infinite or not a number.
    """
    read = _reader(weights, layers, spatial_mean)
    waiting, row = None, start
    for batch in evaluation_batches(source, BATCH_SIZE, start=start // BATCH_SIZE):
        outputs = read(jnp.asarray(batch["image"]))
        if waiting is not None:
            yield _on_host(waiting, BATCH_SIZE)
            row += BATCH_SIZE
        waiting = outputs
    if waiting is not None:
        yield _on_host(waiting, len(source) - row)


def features_of(
    weights: Weights, images: UInt8[np.ndarray, "count height width channels"], layers: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """The features of some stored images, as ``feature_batches`` computes them."""
    read, parts = _reader(weights, layers, spatial_mean=False), []
    for start in range(0, len(images), BATCH_SIZE):
        part = images[start : start + BATCH_SIZE]
        padded = np.pad(part, [(0, BATCH_SIZE - len(part)), (0, 0), (0, 0), (0, 0)])
        parts.append(_on_host(read(jnp.asarray(padded)), len(part)))
    return {name: np.concatenate([part[name] for part in parts]) for name in layers}


def _reader(weights: Weights, layers: tuple[str, ...], spatial_mean: bool) -> partial:
    variables = (weights.params, weights.batch_stats, jax.tree.map(jnp.asarray, weights.statistics))
    return partial(read_layers, *variables, config=weights.config, layers=layers, spatial_mean=spatial_mean)


def _on_host(outputs: dict[str, Array], count: int) -> dict[str, np.ndarray]:
    arrays = {name: np.asarray(x)[:count] for name, x in outputs.items()}
    for name, array in arrays.items():
        if not np.isfinite(array.sum(dtype=np.float32)):  # a sum needs no array of its own
            raise NotFiniteError(
                f"the features of {name} are not finite numbers: the net's weights are damaged or its training "
                "diverged; use another checkpoint or file"
            )
    return arrays
