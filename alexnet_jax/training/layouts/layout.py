"""What all layouts have in common: they place a state on devices, and compile the steps for it.

The parameters do not depend on the layout. ``place`` takes the canonical state of ``training.steps.state``, and
``collect`` returns it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from alexnet_jax.batch import INDEX, PADDING_LABEL, Batch
from alexnet_jax.config import TrainConfig, Views
from alexnet_jax.ops.backends import forms_of_platform
from alexnet_jax.training.layouts.memory import check_memory
from alexnet_jax.training.optimizer.rules import make_optimizer
from alexnet_jax.training.steps.eval_step import eval_step, kept_outputs, predict_step
from alexnet_jax.training.steps.finite import all_finite
from alexnet_jax.training.steps.metrics import Metrics
from alexnet_jax.training.steps.state import TrainState
from alexnet_jax.training.steps.train_step import Loss, train_step, train_steps

TOWER_AXIS = "tower"


class Layout(ABC):
    """The placement of a run's arrays on devices, and the compiled steps for it.

    Attributes:
        name: the name of the layout.
        config: the run. Its steps are compiled for it.
        devices: the devices in use, of all processes.
        optimizer: as in ``train_step``.
        loss: as in ``train_step``.
        mesh: the same devices, with names for their axes.
        tower_axis: the mapped axis over whose devices the optimizer's arrays are split, or None.
    """

    name: ClassVar[str]
    tower_axis: ClassVar[str | None] = None

    def __init__(
        self,
        config: TrainConfig,
        devices: Sequence[jax.Device],
        optimizer: optax.GradientTransformation | None = None,
        loss: Loss | None = None,
    ) -> None:
        self.config = config
        self.devices = tuple(devices)
        self.optimizer = optimizer
        self.loss = loss
        self._check_devices()
        self.mesh = self._make_mesh()
        self._check_processes()
        self._compiled: dict[tuple[Any, ...], Callable[..., Any]] = {}
        self._held: Batch = {}

    def _check_devices(self) -> None:  # noqa: B027  most layouts have nothing to check
        """Raises UsageError if the net cannot be divided over the devices."""

    @abstractmethod
    def _make_mesh(self) -> jax.sharding.Mesh:
        """The value of ``mesh``."""

    def _check_processes(self) -> None:  # noqa: B027
        """Raises UsageError if the batches cannot be divided over the processes."""

    @property
    def data_parallel(self) -> int:
        """The number of parts that a batch is divided into, each for other devices."""
        return 1

    @property
    def rows(self) -> tuple[int, int]:
        """The part of each batch that this process reads: its number, and the number of parts."""
        return 0, 1

    @property
    @abstractmethod
    def part(self) -> str:
        """What each device holds, in words."""

    def check_training(self) -> None:
        """Checks that the run can be trained on these devices.

        Raises:
            UsageError: the rule of the optimizer or the batch size does not fit them.
        """
        make_optimizer(self.config.optimizer, self.tower_axis)

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

    def _put(self, rows: PyTree, axis: int = 0) -> PyTree:
        """Copies the rows of a batch, which are along ``axis`` of its arrays, to the devices that compute them."""
        del axis
        return rows

    def _spec_of_rows(self, axis: int) -> jax.P:
        """How ``_put`` divides arrays over ``mesh``: not at all."""
        del axis
        return jax.P()

    def hold(self, examples: Mapping[str, Any]) -> None:
        """Copies all ``examples`` to each device and keeps them there. Works in a run of one process only.

        The batches of ``train_step``, ``train_steps`` and ``compile_train_steps`` can then be ``{"index": int32
        (batch,)}``, the places of their rows in ``examples``. The steps are the same, bit for bit.

        Args:
            examples: the arrays of a batch, with the rows of all of them.
        """
        self._held = jax.device_put(examples, jax.NamedSharding(self.mesh, jax.P()))

    def _place(self, batch: Batch, axis: int = 0) -> Batch:
        """``_put``. A batch of indices takes its rows from the examples that the devices hold."""
        if INDEX not in batch:
            placed: Batch = self._put(batch, axis)
            return placed
        name = (_take_rows.__name__, axis)
        if name not in self._compiled:
            sharding = jax.NamedSharding(self.mesh, self._spec_of_rows(axis))
            self._compiled[name] = jax.jit(_take_rows, out_shardings=sharding)
        return self._wait(self._compiled[name](self._held, batch[INDEX]))

    def train_step(self, state: TrainState, batch: Batch, key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        """The function ``train_step`` of a placed ``state``, which is donated: do not use it afterwards."""
        return self._run(train_step, state, self._place(batch), key, updates=True, **self._rule)

    def train_steps(self, state: TrainState, batches: Sequence[Batch], key: PRNGKeyArray) -> tuple[TrainState, Metrics]:
        """The function ``train_steps`` of a placed ``state``, which is donated. One batch runs ``train_step``."""
        if len(batches) == 1:
            return self.train_step(state, batches[0], key)
        return self._run(train_steps, state, self._place(_stack(batches), axis=1), key, updates=True, **self._rule)

    def eval_step(self, state: TrainState, batch: Batch, views: Views | None = None) -> Metrics:
        """``eval_step`` of a placed ``state``."""
        return self._run(eval_step, state, self._put_examples(batch), views=views)

    def predict_step(
        self, state: TrainState, images: Array, views: Views | None = None
    ) -> Float[Array, "batch classes"]:
        """``predict_step`` of a placed ``state``."""
        scores = self._run(predict_step, state, self._put_examples(images), views=views)
        return scores[: len(images)]

    def kept_outputs(
        self, state: TrainState, images: Array, training: bool
    ) -> Float[Array, "batch views *size channels"]:
        """``kept_outputs`` of a placed ``state``."""
        outputs = self._run(kept_outputs, state, self._put_examples(images), training=training)
        return outputs[: len(images)]

    def is_finite(self, state: TrainState) -> bool:
        """``all_finite`` of a placed ``state``, once it has been computed."""
        return bool(self._run(all_finite, state))

    def compile_train_steps(self, state: TrainState, batch: Batch, key: PRNGKeyArray, counts: Iterable[int]) -> None:
        """Compiles ``train_steps`` ahead of time, for these numbers of batches like ``batch``. Runs nothing.

        Raises:
            UsageError: a step needs more memory than there is.
        """
        for count in counts:
            step: Callable[..., Any] = train_step if count == 1 else train_steps
            batches = self._place(batch) if count == 1 else self._place(_stack([batch] * count), axis=1)
            function = self._function(step, state, 2, updates=True, **self._rule)
            compiled = function.lower(state, batches, key).compile()
            check_memory(compiled, self.config, self.devices)

    def lower_train_step(self) -> jax.stages.Lowered:
        """Traces ``train_step`` for these devices without any array, also for devices that are not attached.

        The devices of ``jax.experimental.topologies`` let the compiler of a TPU compile the step on any machine.
        """
        state, batch = self.abstract_state(), self.abstract_batch()
        key = jax.eval_shape(lambda: jax.random.key(0))
        function = self._function(train_step, state, 2, updates=True, **self._rule)
        lowered: jax.stages.Lowered = function.lower(state, batch, key)
        return lowered

    @property
    def _rule(self) -> dict[str, Any]:
        """The options of a training step."""
        return {"optimizer": self.optimizer, "loss": self.loss}

    @abstractmethod
    def abstract_state(self) -> TrainState:
        """The shapes, dtypes and shardings of the arrays of a placed state."""

    def abstract_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes, dtypes and shardings of a training batch on the devices."""
        config, size = self.config, self.config.data.image_size
        image = jax.ShapeDtypeStruct((config.batch_size, size, size, config.model.channels), np.uint8)
        label = jax.ShapeDtypeStruct((config.batch_size,), np.int32)
        return {"image": image, "label": label}

    def compile_eval_step(self, state: TrainState, batch: Batch, views: Views | None) -> None:
        """Compiles ``eval_step`` ahead of time, for arguments like these. Runs nothing."""
        self._function(eval_step, state, 1, views=views).lower(state, self._put_examples(batch)).compile()

    def _put_examples(self, examples: PyTree) -> PyTree:
        """``_put`` for any number of images, or of examples with labels.

        They are padded with examples that do not count, so that the devices get equal parts.
        """

        def fill(path: tuple[Any, ...], rows: Array) -> Array:
            count = -len(rows) % (self.data_parallel // self.rows[1])
            if count == 0:
                return rows
            value = PADDING_LABEL if path and path[-1].key == "label" else 0
            return np.pad(rows, [(0, count), *[(0, 0)] * (rows.ndim - 1)], constant_values=value)  # type: ignore[return-value]

        return self._put(jax.tree_util.tree_map_with_path(fill, examples))

    def _run(
        self, step: Callable[..., Any], state: TrainState, *inputs: Any, updates: bool = False, **options: Any
    ) -> Any:
        return self._wait(self._function(step, state, len(inputs), updates, **options)(state, *inputs))

    def _function(
        self, step: Callable[..., Any], state: TrainState, inputs: int, updates: bool = False, **options: Any
    ) -> Any:
        """The result of ``_compile``, made once for each step and its options."""
        name = (step.__name__, *options.values())
        if name not in self._compiled:
            self._compiled[name] = self._compile(step, state, inputs, updates, **options)
        return self._compiled[name]

    def _for_platform(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``function`` with the forms of the layers for these devices: tracing all forms takes twice as long."""

        @functools.wraps(getattr(function, "func", function))  # JAX names the program after it
        def traced(*arguments: Any) -> Any:
            with forms_of_platform(self.devices[0].platform):
                return function(*arguments)

        return traced

    def _wait(self, results: Any) -> Any:
        """Returns ``results``, on virtual devices once they are computed.

        Virtual devices of one CPU share its threads. A second step in flight can occupy the thread that a collective of
        the first one waits for, which is a deadlock.
        """
        is_virtual = len(self.devices) > 1 and self.devices[0].platform == "cpu"
        return jax.block_until_ready(results) if is_virtual else results


def _take_rows(examples: Batch, indices: Array) -> Batch:
    """The rows of the arrays of ``examples`` at ``indices``, which may have several axes."""
    return {name: array.at[indices].get(mode="promise_in_bounds") for name, array in examples.items()}


def _stack(batches: Sequence[Batch]) -> Batch:
    return jax.tree.map(lambda *arrays: np.stack(arrays), *batches)
