"""Saved states of a run, in the canonical form that fits any number of devices, with a checksum of each array."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import PyTree
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, BestN, LatestN

from alexnet_jax.errors import AlexNetError, first_line
from alexnet_jax.training.state import TrainState

Which = Literal["latest", "best"]


def array_digests(tree: PyTree) -> dict[str, str]:
    """SHA-256 of each array's type, shape and bytes, by its path in the tree."""

    def digest(leaf: Any) -> str:
        array = np.ascontiguousarray(leaf)
        return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + array.tobytes()).hexdigest()

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): digest(leaf) for path, leaf in leaves}


def tree_digest(tree: PyTree) -> str:
    """One SHA-256 for a tree of arrays, whatever devices they were on."""
    lines = (f"{path} {digest}\n" for path, digest in sorted(array_digests(tree).items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class Checkpoints:
    """The checkpoints in a folder: the two latest and the one with the smallest error are kept.

    ``warn`` is told of checkpoints that could not be read.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None]) -> None:
        for name in ("absl", "asyncio"):  # Orbax reports each file that it handles, and all that its threads raise
            logging.getLogger(name).setLevel(logging.CRITICAL)
        best = BestN(get_metric_fn=_error, reverse=True, n=1, keep_checkpoints_without_metrics=False)
        self._manager = ocp.CheckpointManager(
            folder.absolute(),
            item_names=("state", "digests"),
            options=ocp.CheckpointManagerOptions(
                preservation_policy=AnyPreservationPolicy([LatestN(2), best]),
                best_fn=_error,
                best_mode="min",
                cleanup_tmp_directories=True,
            ),
        )
        self._folder = folder
        self._warn = warn

    def save(self, state: TrainState, error: float | None) -> None:
        """Saves a canonical ``state`` in the background; ``error`` is what "best" compares, None if not measured."""
        step = int(state.step)
        if step in self._manager.all_steps():
            return
        items = {"state": ocp.args.StandardSave(state), "digests": ocp.args.JsonSave(array_digests(state))}
        metrics = None if error is None else {"top1_error": error}
        with self._saving():
            self._manager.save(step, args=ocp.args.Composite(**items), metrics=metrics)

    def wait(self) -> None:
        """Returns once everything is on disk.

        Raises AlexNetError, as ``save`` does, where it cannot be written.
        """
        with self._saving():
            self._manager.wait_until_finished()

    @contextlib.contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # what a full disk makes Orbax raise has no common class
            said = str(error)
            reason = "no space is left" if "No space left" in said or "File too large" in said else first_line(error)
            raise AlexNetError(
                f"{self._folder}: a checkpoint could not be written ({reason}); make room and run the same command, "
                "it goes on from the checkpoint before"
            ) from error

    def restore(self, like: TrainState, which: Which = "latest") -> TrainState | None:
        """The latest or best state, in the form of ``like``; None where none was saved.

        A damaged checkpoint is said to be so, and the one before it is taken instead.
        Raises AlexNetError where there are checkpoints and none can be read.
        """
        tried = []
        for step in self._order(which):
            try:
                return self._read(step, like)
            except Exception as error:  # what a damaged file makes Orbax raise has no common class
                tried.append(step)
                self._warn(f"checkpoint {self._folder / str(step)} is damaged ({first_line(error)}), trying another")
        if tried:
            raise AlexNetError(f"{self._folder}: no checkpoint can be read; remove the folder and train again")
        return None

    def discard_after(self, step: int) -> None:
        """Removes checkpoints of later steps, which were found damaged."""
        for later in self._manager.all_steps():
            if later > step:
                self._manager.delete(later)

    def _order(self, which: Which) -> Iterator[int]:
        steps = sorted(self._manager.all_steps(), reverse=True)
        best = self._manager.best_step() if which == "best" else None
        if best is not None:
            yield best
        yield from (step for step in steps if step != best)

    def _read(self, step: int, like: TrainState) -> TrainState:
        form = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), like)
        items = {"state": ocp.args.StandardRestore(form), "digests": ocp.args.JsonRestore()}
        restored = self._manager.restore(step, args=ocp.args.Composite(**items))
        found = array_digests(restored["state"])
        wrong = [path for path, digest in restored["digests"].items() if found.get(path) != digest]
        if wrong or len(found) != len(restored["digests"]):
            raise ValueError(f"{wrong[0] if wrong else 'an array'} has another checksum")
        return restored["state"]


def _error(metrics: dict[str, float]) -> float:
    return metrics["top1_error"]
