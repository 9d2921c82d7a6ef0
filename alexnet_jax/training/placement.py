"""Which arrays of a train state are split over two devices, and how many bytes each device holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
from jaxtyping import Array, PyTree

from alexnet_jax.training.state import TrainState


def map_state(state: TrainState, split: Callable[[str, Array], Any], replicate: Callable[[Array], Any]) -> TrainState:
    """Applies ``split`` to the arrays that are split over the towers, and ``replicate`` to the others.

    Parameters, running statistics and their average are split, and so are the arrays of the optimizer's state whose
    path ends in that of a parameter of the same shape. Others, such as a counter of steps, are replicated.

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

    def map_layers(tree: PyTree) -> PyTree:
        return {layer: jax.tree.map(partial(split, layer), arrays) for layer, arrays in tree.items()}

    return TrainState(
        step=replicate(state.step),
        params=map_layers(state.params),
        opt_state=jax.tree_util.tree_map_with_path(map_opt_state, state.opt_state),
        plateau=jax.tree.map(replicate, state.plateau),
        statistics=jax.tree.map(replicate, state.statistics),
        average=None if state.average is None else map_layers(state.average),
        batch_stats=map_layers(state.batch_stats),
    )


def bytes_per_device(tree: PyTree) -> dict[jax.Device, int]:
    """The bytes of ``tree`` on each device."""
    sizes: Counter[jax.Device] = Counter()
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            sizes[shard.device] += shard.data.nbytes
    return dict(sizes)
