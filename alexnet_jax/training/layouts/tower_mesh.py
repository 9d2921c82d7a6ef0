"""Two towers, and any number of replicas of the pair, on a mesh of devices.

The towers are those of ``two_towers.py``, mapped by ``jax.shard_map`` instead of ``jax.pmap``. XLA divides the images
among the replicas, as in ``data_parallel.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, PRNGKeyArray, PyTree

from alexnet_jax.batch import Batch
from alexnet_jax.config.optax_rules import PREFIX
from alexnet_jax.errors import UsageError
from alexnet_jax.training.layouts.data_parallel import DATA_AXIS, DataParallel
from alexnet_jax.training.layouts.layout import TOWER_AXIS
from alexnet_jax.training.layouts.placement import cut_classes, map_layers, map_state, pad_features
from alexnet_jax.training.optimizer.optax_rules import ELEMENTWISE
from alexnet_jax.training.steps.metrics import Metrics
from alexnet_jax.training.steps.state import TrainState
from alexnet_jax.training.steps.train_step import Loss, gradients_step, train_step, train_steps, update_step

TOWERS = 2


class TowerMesh(DataParallel):
    """Each pair of neighbouring devices holds the two towers of one replica of the net.

    The gradients are computed by tower. The optimizer sees whole arrays, so any rule works.

    The classifier of an odd number of classes has one more unit, as in ``TwoTowers``.
    """

    name = "mesh"

    def _check_devices(self) -> None:
        if self.config.model.towers != TOWERS or len(self.devices) % TOWERS:
            raise UsageError(
                "--layout mesh needs a net of two towers and an even number of devices, and this net has "
                f"{self.config.model.towers} and there are {len(self.devices)}: use --layout data"
            )

    @property
    def part(self) -> str:
        """As in ``Layout``."""
        if self.data_parallel == 1:
            return f"half of every layer and its velocity (--layout {self.name})"
        return f"half of every layer, its velocity and 1/{self.data_parallel} of each batch (--layout {self.name})"

    def check_training(self) -> None:
        """As in ``Layout``."""
        super().check_training()
        rule, classes = self.config.optimizer.rule, self.config.model.classes
        needs_whole_arrays = self.optimizer is not None or (rule.startswith(PREFIX) and rule not in ELEMENTWISE)
        if needs_whole_arrays and classes % TOWERS:
            name = f"optimizer.rule is {rule!r}: it needs" if self.optimizer is None else "the optimizer may need"
            raise UsageError(
                f"{name} whole arrays, and --layout mesh pads those of {classes} classes, use --model.classes "
                f"{classes + 1} or --layout data"
            )

    def _make_mesh(self) -> jax.sharding.Mesh:
        return jax.sharding.Mesh(np.array(self.devices).reshape(-1, TOWERS), (DATA_AXIS, TOWER_AXIS))

    def spec(self, layer: str, leaf: Array) -> jax.P:
        """The last axis, that of the features, is split over the towers."""
        del layer
        return jax.P(*[None] * (leaf.ndim - 1), TOWER_AXIS)

    def _to_stored(self, state: TrainState) -> TrainState:
        return map_state(state, lambda _, leaf: pad_features(leaf, TOWERS), jnp.copy)

    def _to_canonical(self, state: TrainState) -> TrainState:
        return map_state(state, partial(cut_classes, model=self.config.model), np.asarray)

    def _partition(
        self, step: Callable[..., Any], state: TrainState, inputs: int, **options: Any
    ) -> Callable[..., Any]:
        if step is train_step:
            return partial(self._train_step, **options)
        if step is train_steps:
            return partial(self._train_steps, **options)
        return self._over_towers(step, state, jax.P(), inputs, **options)

    def _train_step(
        self,
        state: TrainState,
        batch: Batch,
        key: PRNGKeyArray,
        *,
        optimizer: optax.GradientTransformation | None,
        loss: Loss | None,
    ) -> tuple[TrainState, Metrics]:
        """The function ``train_step``, with the gradients computed by tower."""
        layers = (map_layers(self.spec, state.params), jax.P(), map_layers(self.spec, state.batch_stats))
        found = self._over_towers(gradients_step, state, layers, 2, loss=loss)(state, batch, key)
        return update_step(state, *found, config=self.config, optimizer=optimizer)

    def _train_steps(
        self, state: TrainState, batches: Batch, key: PRNGKeyArray, **rule: Any
    ) -> tuple[TrainState, Metrics]:
        return lax.scan(partial(self._train_step, key=key, **rule), state, batches)

    def _over_towers(
        self, step: Callable[..., Any], state: TrainState, outputs: PyTree, inputs: int, **options: Any
    ) -> Callable[..., Any]:
        """Runs ``step`` for each tower. ``outputs`` are the specs of its results."""
        specs = map_state(state, self.spec, lambda _: jax.P())
        # XLA for CPUs fails on bfloat16 exchanges between towers if it has an axis left to divide the work over.
        for_xla = {DATA_AXIS} if self.data_parallel > 1 else set()
        return jax.shard_map(
            partial(step, config=self.config, tower_axis=TOWER_AXIS, **options),
            mesh=self.mesh,
            in_specs=(specs, *[jax.P()] * inputs),
            out_specs=outputs,
            axis_names={*self.mesh.axis_names} - for_xla,
            check_vma=False,
        )
