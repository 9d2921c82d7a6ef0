"""Result files on object stores: written to this machine, and copied when they are complete."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from alexnet_jax.errors import UsageError
from alexnet_jax.files import cache_directory
from alexnet_jax.stores.fetch import cache_place, local_errors
from alexnet_jax.stores.store import Store, StoreError, url_of
from alexnet_jax.transfers import only_process


@contextlib.contextmanager
def output(path: Path, is_new: bool = True) -> Iterator[Path]:
    """A context that writes a result file, and copies it if ``path`` is a URL.

    Args:
        path: the file, or the URL of the object.
        is_new: whether there must not be such an object yet.

    Yields:
        The file to write.

    Raises:
        UsageError: there is such an object. No work has begun.
        StoreError: the store cannot be written.
    """
    url = url_of(path)
    if url is None:
        yield path
        return
    check_output(path, is_new)
    with local_errors(cache_directory()):
        cache_directory().mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="output-", dir=cache_directory())
    with folder as name:
        file = Path(name) / path.name
        yield file
        Store(url).upload({"": file})


@contextlib.contextmanager
def resumable_output(path: Path) -> Iterator[Path]:
    """As ``output``, for a long work that leaves files beside its result. They are copied with it.

    Its files stay in the user's cache until they are copied, so that the same command can resume.

    Raises:
        UsageError: there is such an object. No work has begun.
        StoreError: the store cannot be written. The files are kept.
    """
    url = url_of(path)
    if url is None:
        yield path
        return
    check_output(path)
    folder = cache_place("outputs", url)
    with local_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with only_process(folder.with_name(f"{folder.name}.lock"), f"waiting for another process, which writes {url}"):
        yield folder / path.name
        beside = Store(url.rpartition("/")[0])
        try:
            beside.upload({file.name: file for file in folder.iterdir()})
        except StoreError as error:
            raise StoreError(f"{error}; the files are in {folder}, and the same command copies them") from error
        shutil.rmtree(folder)


def check_output(path: Path, is_new: bool = True) -> None:
    """Checks that a URL can be written, as far as that is known before a command starts its work.

    Does nothing for a path of this machine.

    Raises:
        UsageError: ``is_new``, and there is such an object.
        StoreError: the store cannot be read.
    """
    url = url_of(path)
    if url is not None and Store(url).exists() and is_new:
        raise UsageError(f"{url}: already exists; remove it, or use another name")
