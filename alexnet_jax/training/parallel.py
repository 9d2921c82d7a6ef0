"""The same steps on one device, or on two as the paper's two GPUs: each holds its half of every layer.

The paper's machine is a slice of the canonical parameters, not another model: on two devices a leaf
(..., features) is held as (..., 2, features / 2) and mapped over that axis.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from alexnet_jax.batch import Batch
from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.training.state import TrainState
from alexnet_jax.training.steps import Metrics, Views, eval_step, predict_step, train_step, train_steps

TOWER_AXIS = "tower"


class Layout(ABC):
    """Where a run's arrays are, and its steps as they run there."""

    def __init__(self, config: TrainConfig, devices: Sequence[jax.Device]) -> None:
        self.config = config
        self.devices = tuple(devices)
        self._compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}

    @abstractmethod
    def place(self, state: TrainState) -> TrainState:
        """The canonical ``state`` in new arrays on the devices."""

    @abstractmethod
    def collect(self, state: TrainState) -> TrainState:
        """The canonical form, in host memory, of a ``state`` that lies as ``place`` puts it."""

    @abstractmethod
    def _compile(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool, **options: Any
    ) -> Callable[..., Any]:
        """``step`` for these devices: a function of a placed state, which it ``updates`` or not, and of ``inputs``."""

    def train_step(self, state: TrainState, batch: Batch, key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        """``steps.train_step``, compiled; ``state`` is used up."""
        return self._run(train_step, state, batch, key, updates=True)

    def train_steps(self, state: TrainState, batches: Sequence[Batch], key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        """``steps.train_steps``, compiled; ``state`` is used up. For one batch ``steps.train_step``."""
        if len(batches) == 1:
            return self.train_step(state, batches[0], key)
        return self._run(train_steps, state, _stack(batches), key, updates=True)

    def eval_step(self, state: TrainState, batch: Batch, views: Views) -> Metrics:
        """``steps.eval_step``, compiled."""
        return self._run(eval_step, state, batch, views=views)

    def predict_step(self, state: TrainState, images: Array, views: Views) -> Float[Array, "batch classes"]:
        """``steps.predict_step``, compiled."""
        return self._run(predict_step, state, images, views=views)

    def compile_train_step(self, state: TrainState, batch: Batch, key: PRNGKeyArray) -> None:
        """Compiles what the training steps of a run would compile in their first calls, and runs nothing."""
        self._function(train_step, state, 2, updates=True).lower(state, batch, key).compile()
        if self.config.steps_per_dispatch > 1:
            batches = _stack([batch] * self.config.steps_per_dispatch)
            self._function(train_steps, state, 2, updates=True).lower(state, batches, key).compile()

    def compile_eval_step(self, state: TrainState, batch: Batch, views: Views) -> None:
        """Compiles what ``eval_step`` would compile in its first call, and runs nothing."""
        self._function(eval_step, state, 1, views=views).lower(state, batch).compile()

    def _run(
        self, step: Callable[..., Any], state: TrainState, *inputs: Any, updates: bool = False, **options: Any
    ) -> Any:
        results = self._function(step, state, len(inputs), updates, **options)(state, *inputs)
        return jax.block_until_ready(results) if self._waits() else results

    def _function(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool = False, **options: Any
    ) -> Any:
        """``step`` as ``_compile`` made it when it was first asked for."""
        name = (step.__name__, *options.values())
        if name not in self._compiled:
            self._compiled[name] = self._compile(step, state, inputs, updates, **options)
        return self._compiled[name]

    def _waits(self) -> bool:
        """Whether each step must end before the next is sent off.

        Two virtual devices of one CPU share its threads: a second step in flight can take the thread that the first
        one's exchange between the devices waits for, and both then wait for ever.
        """
        return len(self.devices) > 1 and self.devices[0].platform == "cpu"


class OneDevice(Layout):
    """The whole net on one device."""

    def place(self, state: TrainState) -> TrainState:
        """As in ``Layout``."""
        copy = jax.jit(
            partial(jax.tree.map, jnp.copy), out_shardings=jax.sharding.SingleDeviceSharding(self.devices[0])
        )
        return copy(state)

    def collect(self, state: TrainState) -> TrainState:
        """As in ``Layout``."""
        return jax.device_get(state)

    def _compile(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool, **options: Any
    ) -> Callable[..., Any]:
        return jax.jit(partial(step, config=self.config, **options), donate_argnums=(0,) if updates else ())


class TwoTowers(Layout):
    """The net's halves on two devices, under ``jax.pmap``.

    Raises UsageError where the classes cannot be shared.
    """

    def __init__(self, config: TrainConfig, devices: Sequence[jax.Device]) -> None:
        classes = config.model.classes
        if classes % 2:
            remedy = f"use --devices 1, or --model.classes {classes + 1} with one unused"
            raise UsageError(f"model.classes is {classes}: two towers cannot share it, {remedy}")
        super().__init__(config, devices)

    def place(self, state: TrainState) -> TrainState:
        """As in ``Layout``: a leaf that is split gets an axis of 2 before its last."""
        mesh = jax.sharding.Mesh(np.array(self.devices), (TOWER_AXIS,))

        def halves(leaf: Array) -> jax.NamedSharding:
            return jax.NamedSharding(mesh, jax.P(*[None] * (leaf.ndim - 1), TOWER_AXIS))

        def halve(leaf: Array) -> Array:
            return leaf.reshape(*leaf.shape[:-1], 2, leaf.shape[-1] // 2)

        shardings = _map_state(state, halves, lambda _: jax.NamedSharding(mesh, jax.P()))
        return jax.jit(lambda state: _map_state(state, halve, jnp.copy), out_shardings=shardings)(state)

    def collect(self, state: TrainState) -> TrainState:
        """As in ``Layout``."""

        def join(leaf: Array) -> np.ndarray:
            return np.asarray(leaf).reshape(*leaf.shape[:-2], -1)

        return _map_state(state, join, np.array)

    def _compile(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool, **options: Any
    ) -> Callable[..., Any]:
        """Each device has its half of the state, all of the inputs and the same results."""
        axes = _map_state(state, lambda leaf: leaf.ndim - 2, lambda _: None)
        return jax.pmap(
            partial(step, config=self.config, tower_axis=TOWER_AXIS, **options),
            axis_name=TOWER_AXIS,
            in_axes=(axes, *[None] * inputs),
            out_axes=(axes, None) if updates else None,
            donate_argnums=(0,) if updates else (),
            devices=self.devices,
        )


def _stack(batches: Sequence[Batch]) -> Batch:
    return jax.tree.map(lambda *arrays: np.stack(arrays), *batches)


def _map_state(state: TrainState, split: Callable[[Array], Any], whole: Callable[[Array], Any]) -> TrainState:
    """``split`` of each leaf that the towers share, the parameters and their velocities; ``whole`` of the others."""
    shared = {"params": state.params, "opt_state": state.opt_state}
    others = {"step": state.step, "plateau": state.plateau, "statistics": state.statistics}
    return TrainState(**jax.tree.map(split, shared), **jax.tree.map(whole, others))


def bytes_per_device(state: TrainState) -> dict[jax.Device, int]:
    """Bytes of ``state`` that lie on each device."""
    held: Counter[jax.Device] = Counter()
    for leaf in jax.tree.leaves(state):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return dict(held)


def choose_layout(config: TrainConfig, devices: int | None = None) -> Layout:
    """The layout for ``devices`` devices, or for as many as there are and the net can use.

    Raises UsageError for more devices than there are or than the net has towers.
    """
    there = jax.devices()
    usable = min(config.model.towers, len(there))
    if devices is not None and not 1 <= devices <= usable:
        raise UsageError(
            f"--devices is {devices}: this net of {config.model.towers} tower(s) can use 1 to {usable} "
            f"of the {len(there)} device(s) here"
        )
    count = usable if devices is None else devices
    return (TwoTowers if count == 2 else OneDevice)(config, there[:count])
