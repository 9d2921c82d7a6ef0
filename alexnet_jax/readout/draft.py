"""An HDF5 file that grows block by block, and that a killed process leaves intact."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from alexnet_jax.data.image_array import open_hdf5
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.files import replace_file, sync_directory

Facts = dict[str, Any]
"""What identifies a read-out: two with the same facts have the same features. Values for JSON."""

_SECONDS_BETWEEN_COMMITS = 5.0
_FLOAT_BYTES = 4


def describe_difference(old: Facts, new: Facts) -> str:
    """The names of the facts that differ, for a message."""
    return ", ".join(name for name in {**old, **new} if old.get(name) != new.get(name))


class Draft:
    """A context manager: the unfinished file ``OUT.part``, and ``OUT.part.json`` with its facts and finished rows.

    All arrays are allocated when the file is made, one after another without gaps. Later writes change no metadata of
    HDF5, so the file is valid at any time. Rows count as finished once they are on the disk.

    Args:
        out: the file that the draft becomes.
        shapes: the shape of a row of each array, float32.
        count: the number of rows.
        facts: what the rows are.

    Raises:
        UsageError: there is a draft of another read-out.
        AlexNetError: the file cannot be written, or the disk has too little space.
    """

    def __init__(self, out: Path, shapes: Mapping[str, tuple[int, ...]], count: int, facts: Facts) -> None:
        self.path = out.with_name(f"{out.name}.part")
        self._journal = out.with_name(f"{out.name}.part.json")
        self._shapes, self._count, self._facts = shapes, count, facts
        self.done = self._read_journal()
        if self.done == 0:
            self._create()
        self._file = self._reopen()
        self._written, self._committed_at = self.done, time.monotonic()

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file:
            if kind is None or issubclass(kind, AlexNetError):
                self.commit()
            self._file.close()

    def _read_journal(self) -> int:
        """The number of finished rows."""
        if not self._journal.exists():
            if self.path.exists():
                raise UsageError(f"{self.path}: exists and is not an unfinished read-out; remove it or rename it")
            return 0
        try:
            journal = json.loads(self._journal.read_text(encoding="utf-8"))
            facts, done = journal["facts"], int(journal["done"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise AlexNetError(f"{self._journal}: damaged; remove it and {self.path.name} to start again") from error
        if facts != self._facts:
            raise UsageError(
                f"{self.path}: holds an unfinished read-out with other {describe_difference(facts, self._facts)}; "
                "remove it and its .json, or name another file"
            )
        return done if self.path.exists() else 0

    def _create(self) -> None:
        import h5py

        needed = self._count * _FLOAT_BYTES * sum(math.prod(shape) for shape in self._shapes.values())
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise AlexNetError(
                f"{self.path.parent}: has {free / 2**30:,.1f} GiB of free space, and the features take "
                f"{needed / 2**30:,.1f}; use --spatial_mean, --random_projection, fewer layers or another disk"
            )
        self._save(0)
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        plan.set_obj_track_times(False)
        with h5py.File(self.path, "w") as file:
            file.attrs["readout"] = json.dumps(self._facts)
            for name, shape in self._shapes.items():
                space = h5py.h5s.create_simple((self._count, *shape))
                h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, plan)
                if name in (layers := self._facts.get("layers", {})):
                    file[name].attrs["layer"] = layers[name]

    def _reopen(self) -> Any:
        import h5py

        open_hdf5(self.path).close()  # reports a damaged file
        try:
            return h5py.File(self.path, "r+")
        except OSError as error:
            raise AlexNetError(f"{self.path}: another process writes to it; wait until it ends") from error

    def write(self, rows: Mapping[str, np.ndarray]) -> None:
        """Writes the next rows of all arrays, and commits them every few seconds."""
        count = len(next(iter(rows.values())))
        for name, values in rows.items():
            self._file[name][self._written : self._written + count] = values
        self._written += count
        if time.monotonic() - self._committed_at >= _SECONDS_BETWEEN_COMMITS:
            self.commit()

    def commit(self) -> None:
        """Flushes what was written to the disk, and records that it is finished."""
        self._file.flush()
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
        self.done = self._written
        self._save(self.done)
        self._committed_at = time.monotonic()

    def _save(self, done: int) -> None:
        replace_file(self._journal, json.dumps({"done": done, "facts": self._facts}, indent=1))

    def dataset(self, name: str) -> Any:
        """The ``h5py.Dataset`` of an array."""
        return self._file[name]

    def mapped(self, name: str) -> np.ndarray:
        """An array, mapped from the disk. Use it after ``commit``."""
        dataset = self._file[name]
        return np.memmap(self.path, np.float32, "r", dataset.id.get_offset(), dataset.shape)

    def become(self, out: Path) -> None:
        """Renames the finished file to ``out``."""
        self.commit()
        self._file.close()
        self._file = None
        self.path.replace(out)
        sync_directory(out.parent)
        self._journal.unlink()

    def discard(self) -> None:
        """Deletes the file."""
        self._file.close()
        self._file = None
        self.path.unlink()
        self._journal.unlink()
