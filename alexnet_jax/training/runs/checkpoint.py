"""Reads the checkpoints of a run: states in the form that fits any number of devices, with a checksum of each array."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

# The interface that Orbax 1 has as orbax.checkpoint.v1; releases before 1 have it here.
import orbax.checkpoint.experimental.v1 as ocp
from jaxtyping import PyTree

from alexnet_jax.errors import AlexNetError, first_line
from alexnet_jax.training.runs.checkpoint_files import checkpoint_steps
from alexnet_jax.training.steps.state import TrainState

STATE, DIGESTS = "state", "digests"
"""The names of the two parts of a checkpoint: the train state, and ``array_digests`` of it."""


Arrays = dict[str, Any]
"""The arrays of a tree by their paths, such as ``params/conv1/kernel``."""


def array_digests(tree: PyTree) -> dict[str, str]:
    """The SHA-256 of each array's dtype, shape and bytes, by its path in ``tree``."""

    def digest(leaf: Any) -> str:
        array = np.ascontiguousarray(leaf)
        return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()

    return {path: digest(leaf) for path, leaf in _by_path(tree).items()}


def tree_digest(tree: PyTree) -> str:
    """One SHA-256 for a tree of arrays. It does not depend on the devices that hold them."""
    lines = (f"{path} {digest}\n" for path, digest in sorted(array_digests(tree).items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class Checkpoints:
    """The checkpoints in a directory, for reading. Nothing is written, so that a run may continue meanwhile.

    Args:
        directory: does not have to exist.
        warn: called with a line of text about each checkpoint that cannot be read.
    """

    def __init__(self, directory: Path, warn: Callable[[str], None]) -> None:
        self._directory = directory
        self._warn = warn

    def restore(self, like: TrainState, first: int | None = None) -> TrainState | None:
        """Reads a state. If its checkpoint is damaged, warns and reads the next one.

        A checkpoint is damaged if its files can be read, but not decoded, or do not have the checksums that were saved.

        Args:
            like: a state of the same shapes and dtypes (``abstract_train_state``).
            first: the step to read first. The others follow, latest first. None starts with the latest.

        Returns:
            The state as NumPy arrays, or None if no checkpoint exists.

        Raises:
            AlexNetError: no checkpoint can be read, the system cannot read a file, or a checkpoint has other shapes.
        """
        steps = sorted(checkpoint_steps(self._directory), key=lambda step: (step == first, step), reverse=True)
        for step in steps:
            checkpoint = self._directory / str(step)
            try:
                arrays = _read(checkpoint)
            except AlexNetError:
                raise
            except Exception as error:  # Orbax raises errors without a common class for damaged files
                if not checkpoint.exists():  # the running training has deleted it
                    return self.restore(like, first)
                self._warn(f"checkpoint {checkpoint} is damaged ({first_line(error)}), trying another")
            else:
                return _fit(arrays, like, checkpoint)
        if steps:
            raise AlexNetError(f"{self._directory}: no checkpoint can be read; train again with --overwrite")
        return None


def _read(checkpoint: Path) -> Arrays:
    """The arrays of a checkpoint by their paths.

    Raises:
        AlexNetError: the system cannot read a file.
        Exception: the checkpoint is damaged.
    """
    try:
        return _decode(checkpoint)
    except Exception:  # damage, or an error of the file system that Orbax reports as another one
        _check_that_files_can_be_read(checkpoint)
    return _decode(checkpoint)


def _decode(checkpoint: Path) -> Arrays:
    with orbax_context():
        metadata = ocp.checkpointables_metadata(checkpoint.absolute()).metadata[STATE]
        abstract = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), metadata)
        restored = ocp.load_checkpointables(checkpoint.absolute(), {STATE: abstract, DIGESTS: None})
    digests = array_digests(restored[STATE])
    for path in digests.keys() | restored[DIGESTS].keys():
        if digests.get(path) != restored[DIGESTS].get(path):
            raise ValueError(f"{path} has a different checksum")
    return _by_path(restored[STATE])


def _check_that_files_can_be_read(checkpoint: Path) -> None:
    def give_up(error: OSError) -> None:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):  # damage, or deleted by the running training
            return
        raise AlexNetError(
            f"{checkpoint}: cannot be read ({error.strerror or error}); nothing was changed, try again when "
            f"{error.filename or 'it'} can be read"
        ) from error

    for directory, _, names in os.walk(checkpoint, onerror=give_up):
        for name in names:
            try:
                (Path(directory) / name).read_bytes()
            except OSError as error:
                give_up(error)


def _fit(arrays: Arrays, like: TrainState, checkpoint: Path) -> TrainState:
    expected = _by_path(like)
    for path in sorted(arrays.keys() | expected.keys()):
        saved, needed = (
            f"{tree[path].dtype}{tree[path].shape}" if path in tree else "absent" for tree in (arrays, expected)
        )
        if saved != needed:
            raise AlexNetError(
                f"{checkpoint}: does not fit config.json, by which {path} is {needed} and not {saved}; restore "
                "config.json, or train in another --workdir"
            )
    return jax.tree.unflatten(jax.tree.structure(like), [arrays[path] for path in expected])


def _by_path(tree: PyTree) -> Arrays:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def orbax_context() -> ocp.Context:
    """The settings for reading and writing checkpoints with Orbax, whose log is turned off."""
    for name in ("absl", "asyncio"):  # Orbax logs each file, and each error that its threads raise
        logging.getLogger(name).setLevel(logging.CRITICAL)
    registry = ocp.handlers.local_registry()
    registry.add(ocp.handlers.JsonHandler, checkpointable_name=DIGESTS)
    here = jax.process_index()
    return ocp.Context(
        # One of several processes reads and writes, and Orbax must not wait for the others.
        multiprocessing_options=ocp.options.MultiprocessingOptions(primary_host=here, active_processes={here}),
        checkpointables_options=ocp.options.CheckpointablesOptions(registry=registry),
        # If a directory cannot be made in the background, Orbax's threads wait for it and the process cannot exit.
        async_options=ocp.options.AsyncOptions(create_directories_asynchronously=False),
    )
