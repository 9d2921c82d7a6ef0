"""The paper's two GPUs (section 3.5): half of every layer on each of two devices, under ``jax.pmap``.

An array (..., features) of the canonical tree is stored as (..., 2, features / 2) and mapped over its second to last
axis.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from alexnet_jax.errors import UsageError
from alexnet_jax.training.layouts.layout import TOWER_AXIS, Layout
from alexnet_jax.training.layouts.placement import cut_classes, map_state, pad_features
from alexnet_jax.training.steps.state import TrainState, abstract_train_state


class TwoTowers(Layout):
    """One tower of the net on each of two devices. Every device computes all images of a batch.

    If the number of classes is odd, the classifier of the second device has one more unit than it needs. Its weights
    are zero, and the net leaves out its logit.
    """

    name = "towers"
    tower_axis = TOWER_AXIS
    part = "half of every layer and its velocity"

    def check_training(self) -> None:
        """As in ``Layout``."""
        super().check_training()
        if self.optimizer is not None:
            raise UsageError(
                "--layout towers gives an optimizer half of each array, and one that is not the config's may need "
                "whole arrays: use --layout mesh"
            )

    def _make_mesh(self) -> jax.sharding.Mesh:
        return jax.sharding.Mesh(np.array(self.devices), (TOWER_AXIS,))

    def place(self, state: TrainState) -> TrainState:
        """As in ``Layout``. A split array gets an axis of 2 before its last.

        The arrays are split on the host, because JAX would compile a program for each shape to split them on a device.
        """

        def sharding(_: str, leaf: Array) -> jax.NamedSharding:
            return jax.NamedSharding(self.mesh, jax.P(*[None] * (leaf.ndim - 1), TOWER_AXIS))

        shardings = map_state(state, sharding, lambda _: jax.NamedSharding(self.mesh, jax.P()))
        return jax.jit(_split, out_shardings=shardings)(jax.device_get(state))

    def abstract_state(self) -> TrainState:
        """As in ``Layout``, without shardings, which ``jax.pmap`` knows."""
        return jax.eval_shape(_split, abstract_train_state(self.config, self.optimizer))

    def collect(self, state: TrainState) -> TrainState:
        """As in ``Layout``."""

        def join(layer: str, leaf: Array) -> np.ndarray:
            return cut_classes(layer, np.asarray(leaf).reshape(*leaf.shape[:-2], -1), self.config.model)

        return map_state(state, join, np.array)

    def _compile(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool, **options: Any
    ) -> Callable[..., Any]:
        """Each device gets its half of the state and all of the inputs. Both return the same metrics."""
        axes = map_state(state, lambda _, leaf: leaf.ndim - 2, lambda _: None)
        return jax.pmap(
            self._for_platform(partial(step, config=self.config, tower_axis=TOWER_AXIS, **options)),
            axis_name=TOWER_AXIS,
            in_axes=(axes, *[None] * inputs),
            out_axes=(axes, None) if updates else None,
            donate_argnums=(0,) if updates else (),
            devices=self.devices,
        )


def _split(state: TrainState) -> TrainState:
    """A copy of a canonical state, in which the last axis of each array of a layer is two."""

    def split(_: str, leaf: Array) -> Array:
        return pad_features(leaf, 2).reshape(*leaf.shape[:-1], 2, -1)

    return map_state(state, split, jnp.copy)
