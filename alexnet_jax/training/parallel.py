"""The steps of ``alexnet_jax.training.steps`` on one device, or on two that hold half of every layer each.

Two devices are the paper's two GPUs (section 3.5). The parameters do not depend on the number of devices. On two
devices, an array (..., features) is stored as (..., 2, features / 2) and mapped over its second to last axis.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from alexnet_jax.batch import Batch
from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.training.memory import check_memory
from alexnet_jax.training.metrics import Metrics
from alexnet_jax.training.placement import map_state
from alexnet_jax.training.state import TrainState
from alexnet_jax.training.steps import Views, all_finite, eval_step, kept_outputs, predict_step, train_step, train_steps

TOWER_AXIS = "tower"


class Layout(ABC):
    """The placement of a run's arrays on devices, and the compiled steps for it.

    Attributes:
        config: the run. Its steps are compiled for it.
        devices: the devices in use.
        tower_axis: the mapped axis over whose devices the parameters are split, or None.
    """

    tower_axis: ClassVar[str | None] = None

    def __init__(self, config: TrainConfig, devices: Sequence[jax.Device]) -> None:
        self.config = config
        self.devices = tuple(devices)
        self._compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}

    @abstractmethod
    def place(self, state: TrainState) -> TrainState:
        """Copies a canonical ``state`` to the devices. ``state`` stays valid."""

    @abstractmethod
    def collect(self, state: TrainState) -> TrainState:
        """Copies a placed ``state`` to the host, in canonical form (NumPy arrays)."""

    @abstractmethod
    def _compile(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool, **options: Any
    ) -> Callable[..., Any]:
        """Compiles ``step`` as a function of a placed state and ``inputs`` more arguments.

        ``updates`` means that the step returns a new state and may overwrite the old one.
        """

    def train_step(self, state: TrainState, batch: Batch, key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        """``steps.train_step`` of a placed ``state``, which is donated: do not use it afterwards."""
        return self._run(train_step, state, batch, key, updates=True)

    def train_steps(self, state: TrainState, batches: Sequence[Batch], key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        """``steps.train_steps`` of a placed ``state``, which is donated. For one batch this is ``train_step``."""
        if len(batches) == 1:
            return self.train_step(state, batches[0], key)
        return self._run(train_steps, state, _stack(batches), key, updates=True)

    def eval_step(self, state: TrainState, batch: Batch, views: Views) -> Metrics:
        """``steps.eval_step`` of a placed ``state``."""
        return self._run(eval_step, state, batch, views=views)

    def predict_step(self, state: TrainState, images: Array, views: Views) -> Float[Array, "batch classes"]:
        """``steps.predict_step`` of a placed ``state``."""
        return self._run(predict_step, state, images, views=views)

    def kept_outputs(
        self, state: TrainState, images: Array, training: bool
    ) -> Float[Array, "batch views *size channels"]:
        """``steps.kept_outputs`` of a placed ``state``."""
        return self._run(kept_outputs, state, images, training=training)

    def is_finite(self, state: TrainState) -> bool:
        """``steps.all_finite`` of a placed ``state``, once it has been computed."""
        return bool(self._run(all_finite, state))

    def compile_train_steps(self, state: TrainState, batch: Batch, key: PRNGKeyArray, counts: Iterable[int]) -> None:
        """Compiles ``train_steps`` ahead of time, for these numbers of batches like ``batch``. Runs nothing.

        Raises:
            UsageError: a step needs more memory than there is.
        """
        for count in counts:
            step, batches = (train_step, batch) if count == 1 else (train_steps, _stack([batch] * count))
            compiled = self._function(step, state, 2, updates=True).lower(state, batches, key).compile()
            check_memory(compiled, self.config, self.devices)

    def compile_eval_step(self, state: TrainState, batch: Batch, views: Views) -> None:
        """Compiles ``eval_step`` ahead of time, for arguments like these. Runs nothing."""
        self._function(eval_step, state, 1, views=views).lower(state, batch).compile()

    def _run(
        self, step: Callable[..., Any], state: TrainState, *inputs: Any, updates: bool = False, **options: Any
    ) -> Any:
        results = self._function(step, state, len(inputs), updates, **options)(state, *inputs)
        return jax.block_until_ready(results) if self._must_wait() else results

    def _function(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool = False, **options: Any
    ) -> Any:
        """The result of ``_compile``, made once for each step and its options."""
        name = (step.__name__, *options.values())
        if name not in self._compiled:
            self._compiled[name] = self._compile(step, state, inputs, updates, **options)
        return self._compiled[name]

    def _must_wait(self) -> bool:
        """Whether each step must end before the next is dispatched.

        Virtual devices of one CPU share its threads. A second step in flight can occupy the thread that a collective of
        the first one waits for, which is a deadlock.
        """
        return len(self.devices) > 1 and self.devices[0].platform == "cpu"


class OneDevice(Layout):
    """The whole net on one device, under ``jax.jit``."""

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
    """One tower of the net on each of two devices, under ``jax.pmap``.

    If the number of classes is odd, the classifier of the second device has one more unit than it needs. Its weights
    are zero, and the net leaves out its logit.
    """

    tower_axis = TOWER_AXIS

    def place(self, state: TrainState) -> TrainState:
        """As in ``Layout``. A split array gets an axis of 2 before its last."""
        mesh = jax.sharding.Mesh(np.array(self.devices), (TOWER_AXIS,))

        def sharding(_: str, leaf: Array) -> jax.NamedSharding:
            return jax.NamedSharding(mesh, jax.P(*[None] * (leaf.ndim - 1), TOWER_AXIS))

        def split(_: str, leaf: Array) -> Array:
            padding = [*[(0, 0)] * (leaf.ndim - 1), (0, leaf.shape[-1] % 2)]
            return jnp.pad(leaf, padding).reshape(*leaf.shape[:-1], 2, -1)

        shardings = map_state(state, sharding, lambda _: jax.NamedSharding(mesh, jax.P()))
        return jax.jit(lambda state: map_state(state, split, jnp.copy), out_shardings=shardings)(state)

    def collect(self, state: TrainState) -> TrainState:
        """As in ``Layout``."""
        model = self.config.model

        def join(layer: str, leaf: Array) -> np.ndarray:
            joined = np.asarray(leaf).reshape(*leaf.shape[:-2], -1)
            return joined[..., : model.classes] if layer == model.dense_names[-1] else joined

        return map_state(state, join, np.array)

    def _compile(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool, **options: Any
    ) -> Callable[..., Any]:
        """Each device gets its half of the state and all of the inputs. Both return the same metrics."""
        axes = map_state(state, lambda _, leaf: leaf.ndim - 2, lambda _: None)
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


def choose_layout(config: TrainConfig, devices: int | None = None) -> Layout:
    """Chooses the layout for a net.

    Args:
        config: the run.
        devices: the number of devices. None uses one per tower, if available.

    Raises:
        UsageError: ``devices`` exceeds the available devices or the towers of the net.
    """
    available = jax.devices()
    usable = min(config.model.towers, len(available))
    if devices is not None and not 1 <= devices <= usable:
        raise UsageError(
            f"--devices is {devices}: this net of {config.model.towers} tower(s) can use 1 to {usable} "
            f"of the {len(available)} device(s) here"
        )
    count = usable if devices is None else devices
    return (TwoTowers if count == 2 else OneDevice)(config, available[:count])
