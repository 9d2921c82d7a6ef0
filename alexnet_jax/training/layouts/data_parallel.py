"""The whole net on every device, and the images of a batch divided among them, under ``jax.jit``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.multihost_utils import process_allgather
from jaxtyping import Array, PyTree

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.net.model import BATCH, IMAGES_OF_DENSE
from alexnet_jax.training.layouts.layout import Layout
from alexnet_jax.training.layouts.placement import map_state
from alexnet_jax.training.steps.state import TrainState, abstract_train_state

DATA_AXIS = "data"


class DataParallel(Layout):
    """One net on each device, with its part of the images. XLA sums the gradients.

    The steps are those of one device: means, statistics and norms are those of the whole batch. Subclasses also split
    some arrays.

    Attributes:
        mesh: as in ``Layout``. The axis ``data`` divides the images of a batch.
        rules: the axes of ``mesh`` that the axes of activations are split over, by the logical names of ``net.model``.
    """

    name = "data"
    rules: ClassVar[tuple[tuple[str, str | None], ...]] = ((BATCH, DATA_AXIS), (IMAGES_OF_DENSE, DATA_AXIS))

    @property
    def data_parallel(self) -> int:
        """As in ``Layout``."""
        return self.mesh.shape[DATA_AXIS]

    @property
    def part(self) -> str:
        """As in ``Layout``."""
        return f"every layer, its velocity and 1/{self.data_parallel} of each batch (--layout {self.name})"

    @property
    def rows(self) -> tuple[int, int]:
        """As in ``Layout``. Processes that hold parts of one replica of the net read the same rows."""
        own = self._replicas(jax.process_index())
        return own[0] // len(own), self.data_parallel // len(own)

    def check_training(self) -> None:
        """As in ``Layout``."""
        super().check_training()
        _check_batch_size(self.config, self.data_parallel)

    def _replicas(self, process: int) -> list[int]:
        """The replicas of the net of which a process holds a part."""
        devices = self.mesh.devices.reshape(self.data_parallel, -1)
        return [
            index for index, replica in enumerate(devices) if process in {device.process_index for device in replica}
        ]

    def _check_processes(self) -> None:
        held = [self._replicas(process) for process in {device.process_index for device in self.devices}]
        if any(len(own) != len(held[0]) or own[0] % len(own) for own in held):
            raise UsageError(
                f"--layout {self.name} cannot divide its {self.data_parallel} replicas of the net over {len(held)} "
                "processes: use the same number of devices in each, one or an even number, or --layout data"
            )

    def _make_mesh(self) -> jax.sharding.Mesh:
        return jax.sharding.Mesh(np.array(self.devices), (DATA_AXIS,))

    def spec(self, layer: str, leaf: Array) -> jax.P:
        """Which axes of an array of ``layer`` are split over which axes of ``mesh``: none."""
        del layer, leaf
        return jax.P()

    def shardings(self, state: TrainState) -> TrainState:
        """The sharding of each array of a state."""
        return map_state(
            state, lambda layer, leaf: self._sharding(self.spec(layer, leaf)), lambda _: self._sharding(jax.P())
        )

    def place(self, state: TrainState) -> TrainState:
        """As in ``Layout``."""
        return jax.jit(self._to_stored, out_shardings=self.shardings(state))(state)

    def collect(self, state: TrainState) -> TrainState:
        """As in ``Layout``."""
        whole = jax.device_get(state) if jax.process_count() == 1 else process_allgather(state, tiled=True)
        return self._to_canonical(whole)

    def abstract_state(self) -> TrainState:
        """As in ``Layout``."""
        state = abstract_train_state(self.config, self.optimizer)
        return jax.tree.map(_with_sharding, jax.eval_shape(self._to_stored, state), self.shardings(state))

    def abstract_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """As in ``Layout``."""
        sharding = self._sharding(jax.P(DATA_AXIS))
        return {name: _with_sharding(leaf, sharding) for name, leaf in super().abstract_batch().items()}

    def _to_stored(self, state: TrainState) -> TrainState:
        """A copy of a canonical state in the shapes that the devices hold."""
        return jax.tree.map(jnp.copy, state)

    def _to_canonical(self, state: TrainState) -> TrainState:
        """The inverse of ``_to_stored``, on the host."""
        return state

    def _put(self, rows: PyTree, axis: int = 0) -> PyTree:
        """Divides arrays among the devices along ``axis``. Each process has its own rows."""
        if len(self.devices) == 1:
            return rows
        sharding = self._sharding(self._spec_of_rows(axis))
        return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(sharding, np.asarray(leaf)), rows)

    def _spec_of_rows(self, axis: int) -> jax.P:
        return jax.P(*[None] * axis, DATA_AXIS)

    def _sharding(self, spec: jax.P) -> jax.NamedSharding:
        return jax.NamedSharding(self.mesh, spec)

    def _compile(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool, **options: Any
    ) -> Callable[..., Any]:
        replicated = self._sharding(jax.P())
        return jax.jit(
            self._in_context(self._for_platform(self._partition(step, state, inputs, **options))),
            donate_argnums=(0,) if updates else (),
            out_shardings=(self.shardings(state), replicated) if updates else replicated,
        )

    def _partition(
        self, step: Callable[..., Any], state: TrainState, inputs: int, **options: Any
    ) -> Callable[..., Any]:
        """``step`` for arrays as ``shardings`` places them. XLA divides its work."""
        del state, inputs
        return partial(step, config=self.config, **options)

    def _in_context(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` with the settings under which it is traced."""
        if self.data_parallel == 1:
            return function
        mesh = self.mesh.abstract_mesh

        def traced(*arguments: Any) -> Any:
            with jax.sharding.use_abstract_mesh(mesh), nn.logical_axis_rules(self.rules):
                return function(*arguments)

        return traced


def _with_sharding(leaf: Any, sharding: jax.NamedSharding) -> Any:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)


def _check_batch_size(config: TrainConfig, data_parallel: int) -> None:
    size = config.micro_batch_size
    if size % data_parallel == 0:
        return
    parts = data_parallel * config.micro_batches
    below, above = config.batch_size // parts * parts, -(-config.batch_size // parts) * parts
    sizes = f"{below} or {above}" if below else str(above)
    of_micro = f" in each of {config.micro_batches} micro-batches" if config.micro_batches > 1 else ""
    raise UsageError(
        f"batch_size is {config.batch_size}: {data_parallel} devices cannot take equal parts of its images{of_micro}, "
        f"use --batch_size {sizes}"
    )


class OneDevice(DataParallel):
    """The whole net and all images on one device."""

    name = "single"
    part = "every layer and its velocity"
