"""Copies of a run from an object store."""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.stores.fetch import cache_place, copy_changed, is_same, local_errors
from alexnet_jax.stores.store import Store
from alexnet_jax.training.runs import run_index, store_lease
from alexnet_jax.training.runs.checkpoint_files import (
    checkpoint_steps,
    remove_checkpoint,
    remove_unfinished,
    unfinished_checkpoint,
)
from alexnet_jax.training.runs.run_directory import RunDirectory, Which
from alexnet_jax.training.runs.run_index import Index, digests_of, read_index, step_of
from alexnet_jax.transfers import only_process

_TRIES = 3
_NOT_IN_RUN = (run_index.NAME, *store_lease.OBJECTS)
"""Objects that the run directory does not have."""
_READ = ("config.json", "classes.txt", "data.json", "metrics.jsonl", "starts.json", "unreadable.txt", "versions.json")
"""The files that commands read."""


def fetch_run(url: str, checkpoint: Which = "latest", progress: bool = True) -> Path:
    """Copies a run with one checkpoint into the user's cache, as ``fetch`` does.

    Args:
        url: the run directory.
        checkpoint: the checkpoint.
        progress: whether to report the copying on standard error.

    Returns:
        The copy, a run directory for reading.

    Raises:
        UsageError: the run does not have the checkpoint.
        AlexNetError: there is no run, it cannot be read, or a file does not have its digest.
    """
    store, place = Store(url), cache_place("stores", url) / url.rpartition("/")[2]
    waiting = f"waiting for another process, which copies {url}" if progress else None
    with local_errors(place):
        place.mkdir(parents=True, exist_ok=True)
        with only_process(place.parent / ".lock", waiting):
            for tries in range(_TRIES):
                try:
                    _fetch(store, RunDirectory(place), checkpoint, progress)
                    return place
                except FileNotFoundError as error:  # the running training has deleted it
                    if tries == _TRIES - 1:
                        raise AlexNetError(f"{url}: changes all the time; try again later") from error
    raise AssertionError("unreachable")


def _fetch(store: Store, run: RunDirectory, checkpoint: Which, progress: bool) -> None:
    index = read_index(store) or Index()
    copy_other_files(store, run.root, progress, _READ)
    steps = sorted(index.checkpoints, reverse=True)
    if isinstance(checkpoint, int) and checkpoint not in steps:
        has = ", ".join(map(str, reversed(steps)))
        raise UsageError(f"--checkpoint is {checkpoint}: {store.url} has the checkpoints of steps {has}")
    if checkpoint == "best" and run.config.exists():
        checkpoint = run.best_step(run.read_config().data, steps) or "latest"
    for step in sorted(steps, key=lambda step: step == checkpoint, reverse=True):
        if copy_checkpoint(store, run, step, index, progress):
            remove_other_checkpoints(run, {step})
            return


def copy_other_files(store: Store, root: Path, progress: bool, names: Collection[str] | None = None) -> None:
    """Makes the files in ``root``, without its checkpoints, equal to those of the run in ``store``.

    Args:
        store: the run.
        root: the directory.
        progress: whether to report the copying on standard error.
        names: the files. None means all.
    """
    entries = {
        name: entry
        for name, entry in store.list().items()
        if name and name not in _NOT_IN_RUN and step_of(name) is None and (names is None or name in names)
    }
    for file in root.iterdir() if root.exists() else ():
        if file.is_file() and not file.name.startswith(".") and file.name not in entries:
            file.unlink()
    changed = {name: root / name for name, entry in entries.items() if not is_same(root / name, entry)}
    copy_changed(store, changed, entries, progress)


def copy_checkpoint(store: Store, run: RunDirectory, step: int, index: Index, progress: bool) -> bool:
    """Copies a checkpoint from ``store`` to ``run``, unless it is there. Returns whether it is what was saved.

    Raises:
        FileNotFoundError: a file is not in the store any more.
        AlexNetError: the store cannot be read.
    """
    folder, place = f"checkpoints/{step}/", run.checkpoints / str(step)
    entries = {name: entry for name, entry in store.list(folder.rstrip("/")).items() if name.startswith(folder)}
    if place.is_dir() and all(is_same(place / name.removeprefix(folder), entry) for name, entry in entries.items()):
        return True
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    remove_unfinished(run.checkpoints)
    unfinished = unfinished_checkpoint(run.checkpoints, step)
    copy_changed(store, {name: unfinished / name.removeprefix(folder) for name in entries}, entries, progress)
    if not entries or digests_of(unfinished) != (index.checkpoints[step] or digests_of(unfinished)):
        print(f"alexnet: warning: {store.url}/{folder}: is damaged, trying another checkpoint", file=sys.stderr)
        return False
    if place.is_dir():
        remove_checkpoint(run.checkpoints, step)
    unfinished.rename(place)
    return True


def remove_other_checkpoints(run: RunDirectory, kept: Collection[int]) -> None:
    """Deletes the checkpoints of other steps than ``kept``."""
    for step in set(checkpoint_steps(run.checkpoints)).difference(kept):
        remove_checkpoint(run.checkpoints, step)
