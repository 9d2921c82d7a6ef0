"""The names of checkpoints on disk. This module does not import Orbax.

``STEP`` is a complete checkpoint, and ``STEP.damaged`` was set aside. Interrupted saves leave other
names.
"""

from __future__ import annotations

import itertools
import secrets
import shutil
from pathlib import Path

_UNFINISHED, _DELETED, _DAMAGED = ".unfinished", ".deleted", ".damaged"


def checkpoint_steps(directory: Path) -> list[int]:
    """The steps of the complete checkpoints in ``directory``, in ascending order."""
    names = [entry.name for entry in directory.iterdir()] if directory.exists() else []
    return sorted(int(name) for name in names if name.isdecimal() and name == str(int(name)))


def unfinished_checkpoint(directory: Path, step: int) -> Path:
    """A new place to write a checkpoint to. It is renamed to ``STEP`` when it is complete."""
    return directory / f"{step}.{secrets.token_hex(4)}{_UNFINISHED}"


def set_aside(directory: Path, step: int) -> Path:
    """Renames a damaged checkpoint and returns its new place."""
    places = (directory / f"{step}{_DAMAGED}{number or ''}" for number in itertools.count())
    place = next(place for place in places if not place.exists())
    return (directory / str(step)).rename(place)


def remove_checkpoint(directory: Path, step: int) -> None:
    """Deletes a checkpoint. If that is interrupted, no part of it counts as a checkpoint."""
    deleted = directory / f"{step}{_DELETED}"
    (directory / str(step)).rename(deleted)
    _remove(deleted)


def remove_unfinished(directory: Path) -> None:
    """Deletes what interrupted saves and deletions left."""
    for entry in directory.iterdir():
        if "orbax-checkpoint-tmp" in entry.name or entry.suffix in (_UNFINISHED, _DELETED):
            _remove(entry)


def remove_all(directory: Path) -> None:
    """Deletes all checkpoints, also damaged ones, and the directory if nothing else is in it."""
    if not directory.exists():
        return
    for step in checkpoint_steps(directory):
        remove_checkpoint(directory, step)
    remove_unfinished(directory)
    for damaged in directory.glob(f"*{_DAMAGED}*"):
        _remove(damaged)
    if not any(directory.iterdir()):
        directory.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
