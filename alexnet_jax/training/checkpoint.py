"""Reads the checkpoints of a run: states in the form that fits any number of devices, with a checksum of each array."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

# The interface that Orbax 1 has as orbax.checkpoint.v1; releases before 1 have it here.
import orbax.checkpoint.experimental.v1 as ocp
from jaxtyping import PyTree

from alexnet_jax.errors import AlexNetError, first_line
from alexnet_jax.training.run_directory import checkpoint_steps
from alexnet_jax.training.state import TrainState

STATE, DIGESTS = "state", "digests"
"""The names of the two parts of a checkpoint: the train state, and ``array_digests`` of it."""


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
    """The checkpoints in a directory, for reading. Nothing is written, so that a run may go on meanwhile.

    Args:
        directory: does not have to exist.
        warn: called with a line of text about each checkpoint that cannot be read.
    """

    def __init__(self, directory: Path, warn: Callable[[str], None]) -> None:
        self._directory = directory
        self._warn = warn

    def restore(self, like: TrainState, first: int | None = None) -> TrainState | None:
        """Reads a state. If its checkpoint is damaged, warns and reads the next one.

        Args:
            like: a state of the same shapes and dtypes (``abstract_train_state``).
            first: the step to read first. The others follow, latest first. None starts with the latest.

        Returns:
            The state as NumPy arrays, or None if no checkpoint exists.

        Raises:
            AlexNetError: no checkpoint can be read.
        """
        steps = sorted(checkpoint_steps(self._directory), key=lambda step: (step == first, step), reverse=True)
        for step in steps:
            try:
                return self._read(step, like)
            except Exception as error:  # Orbax raises errors without a common class for damaged files
                self._warn(f"checkpoint {self._directory / str(step)} is damaged ({first_line(error)}), trying another")
        if steps:
            raise AlexNetError(f"{self._directory}: no checkpoint can be read; remove the directory and train again")
        return None

    def _read(self, step: int, like: TrainState) -> TrainState:
        abstract_state = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
        with orbax_context():
            restored = ocp.load_checkpointables(
                self._directory.absolute() / str(step), {STATE: abstract_state, DIGESTS: None}
            )
        digests = array_digests(restored[STATE])
        for path in digests.keys() | restored[DIGESTS].keys():
            if digests.get(path) != restored[DIGESTS].get(path):
                raise ValueError(f"{path} has a different checksum")
        return restored[STATE]


def orbax_context() -> ocp.Context:
    """The settings for reading and writing checkpoints with Orbax, whose log is turned off."""
    for name in ("absl", "asyncio"):  # Orbax logs each file, and each error that its threads raise
        logging.getLogger(name).setLevel(logging.CRITICAL)
    registry = ocp.handlers.local_registry()
    registry.add(ocp.handlers.JsonHandler, checkpointable_name=DIGESTS)
    return ocp.Context(
        checkpointables_options=ocp.options.CheckpointablesOptions(registry=registry),
        # If a directory cannot be made in the background, Orbax's threads wait for it and the process cannot exit.
        async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
    )
