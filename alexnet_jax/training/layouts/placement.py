"""Which arrays of a train state can be split over devices, and how many bytes each device holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from alexnet_jax.config import ModelConfig
from alexnet_jax.training.steps.state import TrainState


def map_state(state: TrainState, split: Callable[[str, Array], Any], replicate: Callable[[Array], Any]) -> TrainState:
    """Applies ``split`` to the arrays of layers, and ``replicate`` to the others.

    The arrays of layers are parameters, running statistics and their average, and the arrays of the optimizer's state
    whose path ends in that of a parameter of the same shape. A counter of steps is none of them.

    Args:
        state: the state.
        split: a function of a layer's name and one of its arrays.
        replicate: a function of an array.
    """
    shapes = {path: leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(state.params)}

    def map_opt_state(path: tuple[Any, ...], leaf: Array) -> Any:
        for start in range(len(path)):
            if shapes.get(path[start:]) == leaf.shape:
                return split(path[start].key, leaf)
        return replicate(leaf)

    return TrainState(
        step=replicate(state.step),
        params=map_layers(split, state.params),
        opt_state=jax.tree_util.tree_map_with_path(map_opt_state, state.opt_state),
        plateau=jax.tree.map(replicate, state.plateau),
        statistics=jax.tree.map(replicate, state.statistics),
        average=None if state.average is None else map_layers(split, state.average),
        batch_stats=map_layers(split, state.batch_stats),
    )


def map_layers(split: Callable[[str, Array], Any], tree: PyTree) -> PyTree:
    """Applies ``split`` to each layer's name and each of its arrays, in a tree such as the parameters."""
    return {layer: jax.tree.map(partial(split, layer), arrays) for layer, arrays in tree.items()}


def pad_features(leaf: Array, parts: int) -> Array:
    """Pads the last axis of an array with zeros to a multiple of ``parts``."""
    return jnp.pad(leaf, [*[(0, 0)] * (leaf.ndim - 1), (0, -leaf.shape[-1] % parts)])


def cut_classes(layer: str, leaf: np.ndarray, model: ModelConfig) -> np.ndarray:
    """The inverse of ``pad_features`` for an array of ``layer``. Only the classifier's are padded."""
    return leaf[..., : model.classes] if layer == model.dense_names[-1] else leaf


def bytes_per_device(tree: PyTree) -> dict[jax.Device, int]:
    """The bytes of ``tree`` on each device."""
    sizes: Counter[jax.Device] = Counter()
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            sizes[shard.device] += shard.data.nbytes
    return dict(sizes)
