"""Trains in a local copy of a run on an object store, and copies every change to the store."""

from __future__ import annotations

import contextlib
import json
import secrets
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.files import replace_file
from alexnet_jax.hosts.team import Team
from alexnet_jax.stores.fetch import cache_place, local_errors
from alexnet_jax.stores.store import Store, StoreError
from alexnet_jax.training.runs import run_index
from alexnet_jax.training.runs.checkpoint_files import checkpoint_steps
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.runs.run_index import Index, digests_of, read_index, step_of
from alexnet_jax.training.runs.store_lease import StoreLease
from alexnet_jax.training.runs.stored_run import copy_checkpoint, copy_other_files, remove_other_checkpoints
from alexnet_jax.transfers import only_process_or_refuse

_RECORD = ".store.json"
"""The file with the last writers of the run. The local copy is the newest if the store's writer is one of them."""


@contextlib.contextmanager
def mirrored_run(url: str, say: Callable[[str], None]) -> Iterator[RunDirectory]:
    """A context with a local directory for the run at ``url``. When it exits, everything is on the store.

    The directory is in the user's cache and is kept. On entry, the run on the store replaces the local copy, unless
    this machine was the last to train the run.

    Args:
        url: the run directory.
        say: called with lines of text for the user, also from other threads.

    Raises:
        UsageError: another process trains the run.
        AlexNetError: the store cannot be read or written, or, at the end, not everything is there.
    """
    store, root = Store(url), cache_place("runs", url)
    with local_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    lock, remedy = root.with_name(f".{root.name}.lock"), "wait for its end, stop it, or use another --workdir"
    refusal = f"{url}: another process on this machine is training this run; {remedy}"
    with only_process_or_refuse(lock, refusal), StoreLease(store) as lease:
        run = RunDirectory(root)
        index = _newest(store, run, say)
        mirror = RunMirror(store, root, index, lease, say)
        try:
            yield RunDirectory(root, url, mirror.publish)
        except UsageError as error:
            mirror.publish()
            raise UsageError(str(error).replace(str(root), url)) from error
        except Exception:  # not KeyboardInterrupt, by which the user leaves at once
            mirror.publish()
            raise
        mirror.publish()
        if mirror.failure is not None:
            raise AlexNetError(
                f"{mirror.failure}; the run is in {root}, and the same command copies the rest to the store"
            ) from mirror.failure


@contextlib.contextmanager
def mirrored_run_of(team: Team, url: str, say: Callable[[str], None]) -> Iterator[RunDirectory]:
    """As ``mirrored_run``, for a team. Processes other than the main one get a directory with the config alone."""
    if team.is_main:
        with mirrored_run(url, say) as run:
            team.text_from_main("stored config", run.config.read_text(encoding="utf-8") if run.has_checkpoint else "")
            yield run
        return
    with tempfile.TemporaryDirectory(prefix="alexnet-") as folder:
        run = RunDirectory(Path(folder), url)
        config = team.text_from_main("stored config", "")
        if config:
            run.config.write_text(config, encoding="utf-8")
            (run.checkpoints / "0").mkdir(parents=True)  # the run can be resumed
        yield run


def _newest(store: Store, run: RunDirectory, say: Callable[[str], None]) -> Index:
    """Updates ``run`` to the newest state and registers this process as the writer. Returns the index in ``store``."""
    stored, record = read_index(store), run.root / _RECORD
    has_local = run.config.exists()
    is_known = stored is not None and stored.writer in _writers(record)
    is_lost = stored is not None and bool(stored.checkpoints) and not run.has_checkpoint
    if stored is not None and (not is_known or is_lost):
        if has_local:
            say(f"note      {store.url} is newer than the copy in {run.root}, and replaces it")
        record.unlink(missing_ok=True)
        copy_other_files(store, run.root, progress=True)
        remove_other_checkpoints(run, stored.checkpoints)
        intact = [step for step in stored.checkpoints if copy_checkpoint(store, run, step, stored, progress=True)]
        if stored.checkpoints and not intact:
            raise AlexNetError(f"{store.url}: no checkpoint can be read; delete the run, or use another --workdir")
        stored = replace(stored, checkpoints={step: digests_of(run.checkpoints / str(step)) for step in intact})
    elif stored is None and has_local:
        say(f"note      there is no run at {store.url} yet: training continues from the copy in {run.root}")
    index = stored or Index()
    new = replace(index, writer=secrets.token_hex(8))
    replace_file(record, json.dumps([writer for writer in (index.writer, new.writer) if writer]))
    store.write(run_index.NAME, new.to_json())
    return new


def _writers(record: Path) -> list[str]:
    try:
        return [str(each) for each in json.loads(record.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        return []


class RunMirror:
    """Copies what changes in a run directory to an object store.

    Args:
        store: the run.
        root: the run directory.
        index: what ``store`` has.
        lease: checked before each change of the index.
        say: called with lines of text for the user.

    Attributes:
        failure: why the store is not up to date, or None.
    """

    def __init__(self, store: Store, root: Path, index: Index, lease: StoreLease, say: Callable[[str], None]) -> None:
        self._store, self._root, self._index, self._lease, self._say = store, root, index, lease, say
        unknown = (-1, -1)
        self._copied = dict.fromkeys(_other_files(root), unknown)  # the times and sizes of those on the store
        self._checked: dict[int, tuple[int, int]] = {}  # checkpoints that are those of the index
        self.failure: Exception | None = None

    def publish(self) -> None:
        """Brings the store up to date. A failure is reported, and kept in ``failure``: the next call tries again.

        Raises:
            AlexNetError: another process has taken over the run.
        """
        try:
            self._publish()
        except (StoreError, OSError) as error:
            if self.failure is None:
                self._say(f"note      {error}; the run continues, and the next checkpoint tries again")
            self.failure = error
        else:
            if self.failure is not None:
                self._say(f"note      {self._store.url} is up to date again")
            self.failure = None

    def _publish(self) -> None:
        self._lease.check()
        steps = {step: self._root / "checkpoints" / str(step) for step in checkpoint_steps(self._root / "checkpoints")}
        digests = {step: digests_of(path) for step, path in steps.items() if self._checked.get(step) != _identity(path)}
        changed = {step for step, each in digests.items() if self._index.checkpoints.get(step) != each}
        self._commit(self._index.without(changed))  # their objects are about to change
        self._copy_other_files()
        for step in sorted(changed, reverse=True):
            self._store.upload({f"checkpoints/{step}/{name}": steps[step] / name for name in digests[step]})
            self._lease.check()
            self._commit(replace(self._index, checkpoints=self._index.checkpoints | {step: digests[step]}))
        self._commit(self._index.without(self._index.checkpoints.keys() - steps.keys()))
        self._checked = {step: _identity(path) for step, path in steps.items()}
        names = self._store.list("checkpoints")
        self._store.delete(name for name in names if step_of(name) not in steps)

    def _commit(self, index: Index) -> None:
        if index != self._index:
            self._store.write(run_index.NAME, index.to_json())
            self._index = index

    def _copy_other_files(self) -> None:
        files = _other_files(self._root)
        found = {name: _identity(file) for name, file in files.items()}
        self._store.upload({name: files[name] for name in found if self._copied.get(name) != found[name]})
        self._store.delete(self._copied.keys() - files.keys())
        self._copied = found


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size if path.is_file() else found.st_ino


def _other_files(root: Path) -> dict[str, Path]:
    """The files of a run without its checkpoints, the kept outputs, which can be computed again, and hidden files."""
    files: list[Path] = []
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or path.name in ("checkpoints", "outputs", "lease.json"):
            continue
        files += sorted(filter(Path.is_file, path.rglob("*"))) if path.is_dir() else [path]
    return {file.relative_to(root).as_posix(): file for file in files}
