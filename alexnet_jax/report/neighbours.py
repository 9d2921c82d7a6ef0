"""The training images nearest to some test images (paper, Figure 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from alexnet_jax.data.source import Part, Source
from alexnet_jax.readout.compute import feature_batches
from alexnet_jax.readout.layers import last_hidden_layer
from alexnet_jax.readout.nearest import nearest
from alexnet_jax.readout.similarity import sample_rows
from alexnet_jax.weights.weights import Weights


@dataclass(frozen=True)
class Neighbour:
    """A training image near a test image: its index, and the Euclidean distance of their features."""

    index: int
    distance: float


def nearest_images(
    weights: Weights,
    queries: Source,
    images: Source,
    count: int,
    most: int,
    on_batch: Callable[[int], None] = lambda done: None,
) -> list[list[Neighbour]]:
    """The nearest images of each query by the Euclidean distance of the features of ``last_hidden_layer``.

    Args:
        weights: the trained net.
        queries: the images to find neighbours for.
        images: where to look.
        count: the number of neighbours.
        most: the number of ``images`` to look at. If there are more, a fixed random choice of them.
        on_batch: called with the number of images after each batch.

    Raises:
        NotFiniteError: features are infinite or not a number.
    """
    indices = sample_rows(len(images), most, seed=0)
    found = nearest(
        np.concatenate(list(_features(weights, queries))),
        _features(weights, Part(images, indices)),
        count,
        on_batch,
    )
    return [
        [Neighbour(int(indices[row]), float(distance)) for row, distance in zip(rows, distances, strict=True)]
        for rows, distances in zip(found.rows, found.distances, strict=True)
    ]


def part_of(source: Source, indices: Sequence[int]) -> Source:
    """The images of ``source`` at ``indices``."""
    return Part(source, np.array(indices, np.int64))


def _features(weights: Weights, source: Source) -> Iterator[Float[np.ndarray, "batch ..."]]:
    layer = last_hidden_layer(weights.params, weights.config.model)
    return (batch[layer] for batch in feature_batches(weights, source, (layer,)))
