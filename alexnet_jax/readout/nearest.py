"""The nearest images by the Euclidean distance of a layer's features (paper, section 6.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial.distance import cdist


@dataclass(frozen=True)
class Neighbours:
    """The nearest images of each query, the nearest first.

    Attributes:
        rows: their rows in the data.
        distances: their Euclidean distances.
    """

    rows: Int[np.ndarray, "queries nearest"]
    distances: Float[np.ndarray, "queries nearest"]


def nearest(
    queries: Float[np.ndarray, "queries ..."],
    batches: Iterable[Float[np.ndarray, "batch ..."]],
    count: int,
    on_batch: Callable[[int], None] = lambda done: None,
) -> Neighbours:
    """The exact nearest neighbours, from one pass over the data. Of equal distances, the earlier row is nearer.

    The memory is that of one batch and of ``count`` rows for each query, whatever the number of images.

    Args:
        queries: the features of each query.
        batches: the features of the data, in order.
        count: the number of neighbours. Fewer if the data have fewer images.
        on_batch: called with the number of images after each batch.
    """
    flat = queries.reshape(len(queries), -1).astype(np.float64)
    best = Neighbours(np.empty((len(flat), 0), np.int64), np.empty((len(flat), 0)))
    row = 0
    for batch in batches:
        values = batch.reshape(len(batch), -1).astype(np.float64)
        distances = cdist(flat, values)  # differences of products would lose the digits of near neighbours
        rows = np.broadcast_to(np.arange(row, row + len(batch)), distances.shape)
        best = _keep(best, Neighbours(rows, distances), count)
        row += len(batch)
        on_batch(row)
    return best


def _keep(best: Neighbours, more: Neighbours, count: int) -> Neighbours:
    rows = np.concatenate([best.rows, more.rows], 1)
    distances = np.concatenate([best.distances, more.distances], 1)
    order = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return Neighbours(np.take_along_axis(rows, order, 1), np.take_along_axis(distances, order, 1))
