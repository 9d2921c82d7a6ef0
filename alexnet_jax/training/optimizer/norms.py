"""Euclidean norms of arrays and trees of which each device may hold a part."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, PyTree


def global_norm(tree: PyTree, tower_axis: str | None = None) -> Float[Array, ""]:
    """The norm of all numbers of a tree.

    Args:
        tree: arrays, for example gradients, or one array.
        tower_axis: the mapped axis over whose devices every array is split. None if the device holds the whole tree.
    """
    squares = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(tree))
    squares = squares if tower_axis is None else lax.psum(squares, tower_axis)
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)  # differentiable at zero


def clip_by_global_norm(limit: float, tower_axis: str | None = None) -> optax.GradientTransformation:
    """Scales the gradients of all parameters by one factor, so that their norm is at most ``limit``.

    Args:
        limit: the largest norm.
        tower_axis: as in ``global_norm``. ``optax.clip_by_global_norm`` would take the norm of each device's part.
    """

    def update(
        updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.EmptyState]:
        del params
        factor = limit / jnp.maximum(global_norm(updates, tower_axis), limit)
        return jax.tree.map(lambda leaf: factor * leaf, updates), state

    return optax.GradientTransformation(lambda _: optax.EmptyState(), update)
