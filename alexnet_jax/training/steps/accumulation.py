"""Gradients of a batch that does not fit into memory at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import PRNGKeyArray, PyTree

from alexnet_jax.batch import Batch
from alexnet_jax.training.steps.metrics import Metrics


def accumulate(
    gradients_of: Callable[[Batch, PRNGKeyArray], tuple[PyTree, tuple[Metrics, PyTree]]],
    batch: Batch,
    key: PRNGKeyArray,
    parts: int,
) -> tuple[PyTree, tuple[Metrics, PyTree]]:
    """The mean gradients over equal parts of a batch, one after another in a ``lax.scan``.

    The examples go to the parts in turn. So if consecutive examples are on the same device, each device has the same
    number of examples of each part, and no example has to move.

    Args:
        gradients_of: the mean gradients, the metrics and the new running statistics of a batch, given a random key.
        batch: arrays with one axis of examples, which ``parts`` divides.
        key: a random key. Each of several parts gets another one.
        parts: the number of parts. 1 is ``gradients_of`` itself.

    Returns:
        The mean of the gradients, of the metrics and of the running statistics of all parts, but the sum of the
        ``count``. So the running statistics move once, towards the mean of the statistics of the parts.
    """
    if parts == 1:
        return gradients_of(batch, key)
    batches = jax.tree.map(lambda leaf: leaf.reshape(-1, parts, *leaf.shape[1:]).swapaxes(0, 1), batch)
    keys = jax.vmap(partial(jax.random.fold_in, key))(jnp.arange(parts))

    def add(total: PyTree, part: tuple[Batch, PRNGKeyArray]) -> tuple[PyTree, tuple[Metrics, PyTree]]:
        gradients, others = gradients_of(*part)
        return jax.tree.map(jnp.add, total, gradients), others

    shapes, _ = jax.eval_shape(gradients_of, jax.tree.map(lambda leaf: leaf[0], batches), key)
    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    total, (metrics, batch_stats) = lax.scan(add, zeros, (batches, keys))
    means = {name: values.sum() if name == "count" else values.mean() for name, values in metrics.items()}
    batch_stats = jax.tree.map(lambda leaf: leaf.mean(0), batch_stats)
    return jax.tree.map(lambda leaf: leaf / parts, total), (means, batch_stats)
