"""Whether a state or a tree holds only finite numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, PyTree

from alexnet_jax.config import TrainConfig
from alexnet_jax.training.steps.state import TrainState


def all_finite(state: TrainState, *, config: TrainConfig, tower_axis: str | None = None) -> Bool[Array, ""]:
    """Whether a state holds only finite numbers, apart from ``plateau``, whose best error starts as infinity.

    Args:
        state: the state.
        config: the run. It makes no difference.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.
    """
    return tree_is_finite(state.replace(plateau=None), tower_axis)


def tree_is_finite(tree: PyTree, tower_axis: str | None = None) -> Bool[Array, ""]:
    """Whether all arrays of ``tree``, or of the parts that the devices of ``tower_axis`` hold, are finite."""
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()
    return finite if tower_axis is None else lax.pmin(finite.astype(jnp.int32), tower_axis) == 1
