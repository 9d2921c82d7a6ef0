"""Layer-wise adaptive rate scaling (You, Gitman and Ginsburg, arXiv 1708.03888), as NVIDIA's Caffe computes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from alexnet_jax.training.optimizer.norms import global_norm


def scale_by_lars(
    trust: float, decay: Callable[[tuple[Any, ...]], Any], tower_axis: str | None = None
) -> optax.GradientTransformation:
    """Turns each gradient g of an array w into ``factor * (g + decay * w)`` with ``factor = trust * |w| / |g|``.

    The norms are those of whole arrays, biases too. The factor is 1 where a norm is 0. The gradient in it is that of
    the loss, without decay; the formula of arXiv 1708.03888 divides by ``|g| + decay * |w|`` instead.

    Args:
        trust: the ratio of the norms of an update at learning rate 1 and of its array.
        decay: the weight decay of the parameter at a path of the tree.
        tower_axis: the mapped axis over whose devices every array is split. None if the device holds whole arrays.
    """

    def scale(path: tuple[Any, ...], gradient: Array, weight: Array) -> Array:
        norm, size = global_norm(gradient, tower_axis), global_norm(weight, tower_axis)
        are_positive = (norm > 0) & (size > 0)
        factor = jnp.where(are_positive, trust * size / jnp.where(are_positive, norm, 1), 1)
        return factor * (gradient + decay(path) * weight)

    def update(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.EmptyState]:
        return jax.tree_util.tree_map_with_path(scale, updates, params), state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)
