"""Checkpoints of a run, in the canonical form that fits any number of devices, with a checksum of each array."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

# The interface that Orbax 1 has as orbax.checkpoint.v1; releases before 1 have it here.
import orbax.checkpoint.experimental.v1 as ocp
from jaxtyping import PyTree
from orbax.checkpoint.experimental.v1.training import preservation_policies

from alexnet_jax.errors import AlexNetError, first_line
from alexnet_jax.training.state import TrainState

Which = Literal["latest", "best"]
"""The checkpoint to read: that of the latest step, or that with the smallest validation error."""

_STATE, _DIGESTS, _ERROR = "state", "digests", "top1_error"


def array_digests(tree: PyTree) -> dict[str, str]:
    """The SHA-256 of each array's dtype, shape and bytes, by its path in ``tree``."""

    def digest(leaf: Any) -> str:
        array = np.ascontiguousarray(leaf)
        return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): digest(leaf) for path, leaf in leaves}


def tree_digest(tree: PyTree) -> str:
    """One SHA-256 for a tree of arrays. It does not depend on the devices that hold them."""
    lines = (f"{path} {digest}\n" for path, digest in sorted(array_digests(tree).items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class Checkpoints:
    """The checkpoints in a directory. The two latest and the one with the smallest error are kept.

    Args:
        directory: made if it does not exist.
        warn: called with a line of text about each checkpoint that cannot be read.
        read_only: whether to leave the directory unchanged, because another process may be writing to it. Otherwise the
            files of interrupted saves are deleted.
    """

    def __init__(self, directory: Path, warn: Callable[[str], None], read_only: bool = False) -> None:
        for name in ("absl", "asyncio"):  # Orbax logs each file, and each error that its threads raise
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._checkpointer = ocp.training.Checkpointer(
            directory.absolute(),
            context=_context(),
            preservation_policy=_keep_latest_and_best(),
            cleanup_tmp_directories=not read_only,
        )
        self._directory = directory
        self._warn = warn

    def save(self, state: TrainState, error: float | None) -> None:
        """Saves a state in the background. Does nothing if its step has a checkpoint.

        Args:
            state: in canonical form, on the host.
            error: the validation error by which "best" is chosen; None if it was not measured.

        Raises:
            AlexNetError: this or the previous checkpoint cannot be written.
        """
        step = int(state.step)
        if step in self._steps():
            return
        state = jax.tree.map(np.asarray, state)
        metrics = None if error is None else {_ERROR: error}
        with self._explain_write_errors():
            self._checkpointer.save_checkpointables_async(
                step, {_STATE: state, _DIGESTS: array_digests(state)}, metrics=metrics, force=True
            )

    def wait(self) -> None:
        """Waits until everything is on disk.

        Raises:
            AlexNetError: a checkpoint cannot be written.
        """
        with self._explain_write_errors():
            self._checkpointer.wait()

    def restore(self, like: TrainState, which: Which = "latest") -> TrainState | None:
        """Reads a state. If its checkpoint is damaged, warns and reads the next one.

        Args:
            like: a state of the same shapes and dtypes (``abstract_train_state``).
            which: the checkpoint to read first. The others follow, latest first.

        Returns:
            The state as NumPy arrays, or None if no checkpoint exists.

        Raises:
            AlexNetError: no checkpoint can be read.
        """
        steps = self._steps_to_try(which)
        for step in steps:
            try:
                return self._read(step, like)
            except Exception as error:  # Orbax raises errors without a common class for damaged files
                self._warn(f"checkpoint {self._directory / str(step)} is damaged ({first_line(error)}), trying another")
        if steps:
            raise AlexNetError(f"{self._directory}: no checkpoint can be read; remove the directory and train again")
        return None

    def discard_after(self, step: int) -> None:
        """Deletes the checkpoints of steps later than ``step``, which turned out to be damaged."""
        for later in self._steps():
            if later > step:
                self._checkpointer.delete(later)

    def _steps(self) -> list[int]:
        return [checkpoint.step for checkpoint in self._checkpointer.checkpoints]

    def _steps_to_try(self, which: Which) -> list[int]:
        steps = sorted(self._steps(), reverse=True)
        errors = {it.step: it.metrics[_ERROR] for it in self._checkpointer.checkpoints if it.metrics}
        if which == "latest" or not errors:
            return steps
        best = min(errors, key=lambda step: (errors[step], -step))
        return [best, *(step for step in steps if step != best)]

    def _read(self, step: int, like: TrainState) -> TrainState:
        abstract_state = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
        restored = self._checkpointer.load_checkpointables(step, {_STATE: abstract_state, _DIGESTS: None})
        digests = array_digests(restored[_STATE])
        for path in digests.keys() | restored[_DIGESTS].keys():
            if digests.get(path) != restored[_DIGESTS].get(path):
                raise ValueError(f"{path} has a different checksum")
        return restored[_STATE]

    @contextlib.contextmanager
    def _explain_write_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax raises errors without a common class for a full disk
            text = str(error)
            is_full = "No space left" in text or "File too large" in text
            raise AlexNetError(
                f"{self._directory}: a checkpoint could not be written "
                f"({'no space is left' if is_full else first_line(error)}); make room and run the same command, which "
                "resumes from the previous one"
            ) from error


def _context() -> ocp.Context:
    registry = ocp.handlers.local_registry()
    registry.add(ocp.handlers.JsonHandler, checkpointable_name=_DIGESTS)
    return ocp.Context(
        checkpointables_options=ocp.options.CheckpointablesOptions(registry=registry),
        # If a directory cannot be made in the background, Orbax's threads wait for it and the process cannot exit.
        async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
    )


def _keep_latest_and_best() -> preservation_policies.PreservationPolicy:
    best = preservation_policies.BestN(
        get_metric_fn=lambda metrics: metrics[_ERROR], reverse=True, n=1, keep_checkpoints_without_metrics=False
    )
    return preservation_policies.AnyPreservationPolicy([preservation_policies.LatestN(2), best])
