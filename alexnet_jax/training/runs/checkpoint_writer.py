"""Writes and deletes the checkpoints of a run. Only the process that trains does that."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from unittest import mock

import jax
import numpy as np
import orbax.checkpoint.experimental.v1 as ocp
from orbax.checkpoint.experimental.v1._src.saving import execution

from alexnet_jax.errors import AlexNetError, first_line
from alexnet_jax.files import sync_directory, sync_tree
from alexnet_jax.training.runs.checkpoint import DIGESTS, STATE, array_digests, orbax_context
from alexnet_jax.training.runs.checkpoint_files import (
    checkpoint_steps,
    remove_checkpoint,
    remove_unfinished,
    set_aside,
    unfinished_checkpoint,
)
from alexnet_jax.training.runs.lease import Lease
from alexnet_jax.training.steps.state import TrainState

_LATEST_KEPT = 2


class CheckpointWriter:
    """Saves checkpoints to a directory, one at a time, in a thread. The two latest are kept, and those of some steps.

    A directory is called ``STEP`` from when the checkpoint is complete on disk until its deletion begins.

    Args:
        directory: made if it does not exist. The files of interrupted saves are deleted.
        lease: checked before a checkpoint gets its name. None checks nothing.
        is_kept: whether the checkpoint of a step is never deleted.
        publish: called in the thread after each save, and by ``publish`` (``RunDirectory.publish``).
    """

    def __init__(
        self,
        directory: Path,
        lease: Lease | None = None,
        is_kept: Callable[[int], bool] = lambda step: False,
        publish: Callable[[], None] = lambda: None,
    ) -> None:
        self._directory = directory
        self._is_kept = is_kept
        self._lease = lease
        self._publish = publish
        directory.mkdir(parents=True, exist_ok=True)
        remove_unfinished(directory)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._tasks: list[Future[None]] = []

    def __enter__(self) -> CheckpointWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finishes the save that is in progress, unless the user wants to leave at once."""
        self._thread.shutdown(wait=kind is not KeyboardInterrupt)
        if error is None:
            self.wait()

    def save(self, state: TrainState, keep: int | None = None) -> None:
        """Saves a state in the background. Does nothing if its step has a checkpoint.

        Args:
            state: in canonical form, on the host.
            keep: the step of a checkpoint to keep besides the two latest (``RunDirectory.best_step``).

        Raises:
            AlexNetError: the previous checkpoint could not be written.
        """
        self.wait()
        if int(state.step) not in checkpoint_steps(self._directory):
            self._tasks.append(self._thread.submit(self._save, jax.tree.map(np.asarray, state), keep))
            self.publish()

    def publish(self) -> None:
        """Calls ``publish`` of the constructor in the thread, after the saves before it."""
        self._tasks.append(self._thread.submit(self._publish))

    def wait(self) -> None:
        """Waits until everything is on disk.

        Raises:
            AlexNetError: a checkpoint could not be written.
        """
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.result()

    def set_aside_after(self, step: int) -> list[Path]:
        """Renames the checkpoints of steps later than ``step``, which turned out to be damaged.

        Returns:
            Their new places. Nothing reads or deletes them.

        Raises:
            AlexNetError: another process trains the run by now.
        """
        self._check_lease()
        return [set_aside(self._directory, later) for later in checkpoint_steps(self._directory) if later > step]

    def _save(self, state: TrainState, keep: int | None) -> None:
        try:
            self._write(state)
            self._delete_old(keep)
        except Exception as error:  # Orbax raises errors without a common class for a full disk
            self._check_lease()  # a run that has taken over deletes unfinished checkpoints
            text = str(error)
            is_full = "No space left" in text or "File too large" in text
            raise AlexNetError(
                f"{self._directory}: a checkpoint could not be written "
                f"({'no space is left' if is_full else first_line(error)}); make room and run the same command, which "
                "resumes from the previous one"
            ) from error

    def _write(self, state: TrainState) -> None:
        self._check_lease()
        step = int(state.step)
        unfinished = unfinished_checkpoint(self._directory, step)
        with orbax_context(), _saving_alone():
            ocp.save_checkpointables(unfinished.absolute(), {STATE: state, DIGESTS: array_digests(state)})
        sync_tree(unfinished)
        self._check_lease()
        unfinished.rename(self._directory / str(step))
        sync_directory(self._directory)

    def _check_lease(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _delete_old(self, keep: int | None) -> None:
        for step in checkpoint_steps(self._directory)[:-_LATEST_KEPT]:
            if step != keep and not self._is_kept(step):
                remove_checkpoint(self._directory, step)


@contextlib.contextmanager
def _saving_alone() -> Iterator[None]:
    """Lets one of several processes save. Orbax compares the paths of all processes, whichever of them save."""
    if jax.process_count() == 1:
        yield
        return
    with mock.patch.object(execution, "_check_directory_consistency", return_value=None):
        yield
