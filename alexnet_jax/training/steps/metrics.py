"""Losses and errors from logits and labels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from alexnet_jax.batch import PADDING_LABEL

Metrics = dict[str, Float[Array, ""]]
"""Scalars by name: ``loss`` in nats, ``top1_error`` and ``top5_error`` as fractions, ``count`` of examples.
Those of a training step also have ``learning_rate`` and, under ``--on_nan skip``, ``skipped``."""


def cross_entropy(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, " batch"]:
    """The negative log-probability of each label, in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def uniform_cross_entropy(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Float[Array, ""]:
    """The cross-entropy with a uniform distribution, in nats, averaged over the examples that ``summarize`` counts."""
    counts = (labels != PADDING_LABEL).astype(jnp.float32)
    each = -jax.nn.log_softmax(logits).mean(axis=-1)
    return (each * counts).sum() / jnp.maximum(counts.sum(), 1.0)


def is_wrong(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"], best: int) -> Float[Array, " batch"]:
    """1 where the label is not among the ``best`` classes with the largest logits, else 0."""
    own = jnp.take_along_axis(logits, jnp.maximum(labels, 0)[:, None], axis=-1)
    is_first = jnp.arange(logits.shape[-1])[None] < labels[:, None]  # among equal logits
    better = (logits > own) | ((logits == own) & is_first)
    return ((better.sum(axis=-1) >= best) | jnp.isnan(own[:, 0])).astype(jnp.float32)


def summarize(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Metrics:
    """Averages over a batch, without the examples labelled ``PADDING_LABEL``.

    Returns:
        ``loss`` (cross-entropy in nats), ``top1_error`` and ``top5_error`` (fractions of the examples whose label is
        not the best class, or not among the best five), and ``count``, the number of examples.
    """
    counts = (labels != PADDING_LABEL).astype(jnp.float32)
    total = jnp.maximum(counts.sum(), 1.0)
    each = {
        "loss": cross_entropy(logits, jnp.maximum(labels, 0)),
        "top1_error": is_wrong(logits, labels, 1),
        "top5_error": is_wrong(logits, labels, 5),
    }
    return {name: (values * counts).sum() / total for name, values in each.items()} | {"count": counts.sum()}


def shown_metrics(metrics: dict[str, Any], classes: int) -> dict[str, Any]:
    """``metrics`` without ``top5_error`` if the net has at most five classes, where it is always 0."""
    return {name: value for name, value in metrics.items() if name != "top5_error" or classes > 5}
