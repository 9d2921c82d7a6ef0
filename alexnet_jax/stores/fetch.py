"""Copies of objects in the user's cache. What has not changed on the store is not copied again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from alexnet_jax.errors import AlexNetError
from alexnet_jax.files import cache_directory
from alexnet_jax.stores.store import Entry, Store, url_of
from alexnet_jax.transfers import only_process, transfer_bar

_MOST_CHARACTERS = 60


def cache_place(kind: str, url: str) -> Path:
    """A directory in the user's cache for ``url`` only, with a name that the user can recognise.

    Args:
        kind: the name of the parent directory.
        url: the URL.
    """
    readable = re.sub(r"[^\w.-]+", "-", url.partition("://")[2], flags=re.ASCII)[-_MOST_CHARACTERS:].strip("-.")
    return cache_directory() / kind / f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"


def local(path: str | Path, progress: bool = True) -> Path:
    """A path of this machine for ``path``: itself, or for a URL the copy that ``fetch`` makes."""
    url = url_of(path)
    return Path(path) if url is None else fetch(url, progress=progress)


def fetch(url: str, is_wanted: Callable[[str], bool] = lambda name: True, progress: bool = True) -> Path:
    """Copies an object, or all objects below a folder, into the user's cache.

    A second process waits until the first one has copied them. After an interruption, files that are complete are not
    copied again. A file is up to date if it has the size and the time of its object.

    Args:
        url: the object or the folder.
        is_wanted: whether to copy an object, by its name in the folder.
        progress: whether to report the copying on standard error, in a terminal with a progress bar.

    Returns:
        The place of the copy, whose name is the last part of ``url``.

    Raises:
        AlexNetError: there is nothing at ``url``, the store cannot be read, or the disk has too little space.
    """
    store = Store(url)
    place = cache_place("stores", url) / url.rpartition("/")[2]
    with local_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another process, which copies {url}" if progress else None
        with only_process(place.parent / ".lock", waiting):
            try:
                _bring_up_to_date(store, place, is_wanted, progress)
            except FileNotFoundError as error:
                raise AlexNetError(f"{url}: changed while it was copied; try again") from error
    return place


def _bring_up_to_date(store: Store, place: Path, is_wanted: Callable[[str], bool], progress: bool) -> None:
    entries = store.list()
    if not entries:
        raise AlexNetError(f"{store.url}: no such object or folder; check the name")
    if place.exists() and place.is_dir() == ("" in entries):  # a file that is now a folder, or the reverse
        shutil.rmtree(place) if place.is_dir() else place.unlink()
    wanted = {name: entry for name, entry in entries.items() if is_wanted(name)}
    files = {name: place / name if name else place for name in wanted}
    remove_others(place, set(files.values()))
    copy_changed(
        store, {name: files[name] for name in wanted if not is_same(files[name], wanted[name])}, wanted, progress
    )


def copy_changed(store: Store, files: dict[str, Path], entries: dict[str, Entry], progress: bool) -> None:
    """Copies objects to files, with progress, if the disk has the space.

    Args:
        store: the store.
        files: the places of the objects, by their names.
        entries: the objects.
        progress: whether to report the copying.
    """
    if not files:
        return
    size = sum(entries[name].size for name in files)
    place = next(iter(files.values()))
    free = shutil.disk_usage(next(each for each in place.parents if each.exists())).free
    if size > free:
        raise AlexNetError(
            f"{store.url}: takes {size / 2**30:,.1f} GiB, and the cache has {free / 2**30:,.1f} GiB of free space; set "
            "XDG_CACHE_HOME to a directory with space"
        )
    done = 0
    what = f"copying {store.url}: {len(files):,} file{'s'[: len(files) > 1]}, {size / 1e6:,.1f} MB"
    with transfer_bar(store.url.rpartition("/")[2], what, progress) as report:

        def advance(count: int) -> None:
            nonlocal done
            done += count
            report(done, size)

        store.download(files, {name: entries[name].modified for name in files}, advance)


def remove_others(place: Path, kept: set[Path]) -> None:
    """Deletes the files below ``place`` that are not in ``kept``, and the folders that are empty then."""
    for folder, _, names in os.walk(place, topdown=False):
        for name in names:
            if (file := Path(folder) / name) not in kept:
                file.unlink()
        with contextlib.suppress(OSError):  # it is not empty
            Path(folder).rmdir()


@contextlib.contextmanager
def local_errors(place: Path) -> Iterator[None]:
    """A context that raises errors of the disk in one line."""
    try:
        yield
    except OSError as error:
        raise AlexNetError(
            f"{error.filename or place}: cannot be read or written ({error.strerror or error}); set XDG_CACHE_HOME to "
            "a directory with space"
        ) from error


def is_same(file: Path, entry: Entry) -> bool:
    """Whether ``file`` is a copy of an object, by its size and its time."""
    with contextlib.suppress(OSError):
        found = file.stat()
        return (found.st_size, int(found.st_mtime)) == (entry.size, entry.modified)
    return False
