"""The objects below a URL, through fsspec. Errors of the libraries become one line."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from alexnet_jax.errors import AlexNetError, UsageError, first_line, printable, require_package

_Item = TypeVar("_Item")

_PACKAGES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs")}
"""The package for each scheme, and the extra that installs it."""
_VARIABLES = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"),
}
"""Variables of the environment with credentials and with the endpoint."""

_URL = re.compile(rf"({'|'.join(_PACKAGES)}):/+([^/].*)")  # a Path keeps one of the two slashes
_LIBRARIES = ("botocore", "aiobotocore", "s3fs", "aiohttp", "google", "gcsfs", "fsspec", "asyncio")
_AT_ONCE = 16
"""The number of objects that are copied at the same time. Latency dominates the copy time of a small object."""


class StoreError(AlexNetError):
    """An object store cannot be read or written, perhaps only temporarily."""


def url_of(path: str | Path) -> str | None:
    """The URL that ``path`` is, without a slash at its end, or None for a path of this machine."""
    match = _URL.fullmatch(str(path))
    return f"{match[1]}://{match[2].rstrip('/')}" if match else None


def shown(path: str | Path) -> str:
    """``path`` for a line of text. ``Path`` removes one of the two slashes of a URL."""
    return url_of(path) or str(path)


@dataclass(frozen=True)
class Entry:
    """The size and the time of an object. If neither has changed, the object counts as unchanged.

    Attributes:
        size: its bytes.
        modified: when it was written by the clock of the store, in seconds since 1970.
    """

    size: int
    modified: int


class Store:
    """The objects whose names start with a URL. Their names below are relative to it; ``""`` is the URL itself.

    Args:
        url: ``s3://BUCKET/NAME`` or ``gs://BUCKET/NAME``.

    Raises:
        UsageError: the package for the scheme is not installed, or ``url`` has a part ``..``.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        scheme, _, self._root = url.partition("://")
        if {".", ".."} & set(self._root.split("/")):
            raise UsageError(f"{url}: . and .. do not name folders of an object store; write the whole name")
        package, extra = _PACKAGES[scheme]
        require_package(package, f"{scheme}://", extra)
        logging.getLogger(package).setLevel(logging.CRITICAL)  # gcsfs logs errors with their tracebacks
        import fsspec

        options: dict[str, Any] = {"use_listings_cache": False}
        if scheme == "s3":  # by default a dead endpoint is tried for minutes
            options["config_kwargs"] = {"connect_timeout": 10, "retries": {"max_attempts": 3, "mode": "standard"}}
        self._files = fsspec.filesystem(scheme, **options)

    def list(self, folder: str = "") -> dict[str, Entry]:
        """All objects in ``folder`` and its folders, by their names. An object at the URL itself has the name ``""``.

        Raises:
            StoreError: the store cannot be read, or there is no such bucket.
        """
        with self._explained():
            found = self._files.find(self._path(folder), detail=True)
        names = {self._name(path): info for path, info in found.items() if not path.endswith("/")}
        for name in names:
            if ".." in PurePosixPath(name).parts or "\0" in name:
                raise AlexNetError(f"{self.url}: has an object named {printable(name)}, which is not a valid file name")
        return {name: Entry(int(info["size"]), _modified(info)) for name, info in names.items()}

    def exists(self, name: str = "") -> bool:
        """Whether there is an object of this name."""
        with contextlib.suppress(FileNotFoundError), self._explained(may_miss=True):
            return bool(self._files.info(self._path(name))["type"] == "file")
        return False

    def modified(self, name: str) -> int | None:
        """When an object was written, by the clock of the store; None if there is no such object."""
        with contextlib.suppress(FileNotFoundError), self._explained(may_miss=True):
            return _modified(self._files.info(self._path(name)))
        return None

    def read(self, name: str) -> bytes | None:
        """The content of an object, or None if there is no such object."""
        with contextlib.suppress(FileNotFoundError), self._explained(may_miss=True):
            return bytes(self._files.cat_file(self._path(name)))
        return None

    def write(self, name: str, content: bytes) -> None:
        """Writes an object. Readers see the old one or the new one."""
        with self._explained():
            self._files.pipe_file(self._path(name), content)

    def create(self, name: str, content: bytes) -> bool:
        """Writes an object unless there is one of this name. Returns whether it did."""
        try:
            with self._explained():
                self._files.pipe_file(self._path(name), content, mode="create")
        except FileExistsError:
            return False
        return True

    def delete(self, names: Iterable[str]) -> None:
        """Deletes objects, those that exist."""

        def delete(name: str) -> None:
            with contextlib.suppress(FileNotFoundError), self._explained(may_miss=True):
                self._files.rm_file(self._path(name))

        _each(delete, names)

    def download(
        self,
        files: Mapping[str, Path],
        modified: Mapping[str, int] | None = None,
        advance: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Copies objects to files. A file appears when it is complete, and its folder is made.

        Args:
            files: the places of the objects, by their names.
            modified: the times of modification to give the files, in seconds since 1970.
            advance: called with the numbers of bytes that have arrived.

        Raises:
            StoreError: an object cannot be read. The others may have been copied.
            FileNotFoundError: there is no such object.
            OSError: a file cannot be written.
        """
        import fsspec

        class Advance(fsspec.Callback):
            def relative_update(self, inc: int = 1) -> None:
                advance(inc)

        def download(item: tuple[str, Path]) -> None:
            name, file = item
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f".{file.name}.part")
            part.open("wb").close()  # raises the errors of the local disk, which must not look like those of the store
            with self._explained(may_miss=True):
                self._files.get_file(self._path(name), str(part), callback=Advance())
            if modified is not None:
                os.utime(part, (modified[name], modified[name]))
            part.replace(file)

        _each(download, files.items())

    def upload(self, files: Mapping[str, Path]) -> None:
        """Copies files to objects. An object appears when it is complete.

        Args:
            files: the files, by the names of their objects.

        Raises:
            StoreError: an object cannot be written. The others may have been copied.
        """

        def upload(item: tuple[str, Path]) -> None:
            name, file = item
            with self._explained():
                self._files.put_file(str(file), self._path(name))

        _each(upload, files.items())

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _name(self, path: str) -> str:
        return path.removeprefix(self._root).removeprefix("/")

    @contextlib.contextmanager
    def _explained(self, may_miss: bool = False) -> Iterator[None]:
        """A context that raises errors of the libraries as StoreError, except FileExistsError.

        Args:
            may_miss: whether to raise FileNotFoundError unchanged for a missing object. A missing bucket is always a
                StoreError.
        """
        try:
            yield
        except FileExistsError:
            raise
        except Exception as error:
            if may_miss and isinstance(error, FileNotFoundError) and "specified bucket" not in str(error):
                raise
            if not isinstance(error, OSError) and type(error).__module__.partition(".")[0] not in _LIBRARIES:
                raise
            raise StoreError(f"{self.url}: {_reason(error, *_VARIABLES[self.url.partition(':')[0]])}") from error


def _each(work: Callable[[_Item], None], items: Iterable[_Item]) -> None:
    """Calls ``work`` with each item in several threads. After an error, calls that have not begun are left out."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="store") as threads:
        try:
            for _ in threads.map(work, items):
                pass
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _modified(info: dict[str, Any]) -> int:
    times = (info.get(key) for key in ("LastModified", "mtime", "updated"))
    time = next((each for each in times if each is not None), None)
    if isinstance(time, str):
        time = datetime.fromisoformat(time)
    return int(time.timestamp()) if isinstance(time, datetime) else int(time or 0)


def _reason(error: Exception, credentials: str, endpoint: str) -> str:
    """What is wrong, and what would work. The last two arguments are variables of the environment."""
    name, text = type(error).__name__, first_line(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket; make it, or correct the name"
    if "Credential" in name or "credential" in text:
        return f"no credentials ({text}); set them as for the library, such as {credentials} in the environment"
    if isinstance(error, PermissionError):
        return f"is not allowed ({text}); check the credentials and their permissions"
    if "Connect" in name or "Timeout" in name:
        return f"cannot be reached ({text}); check the network, and the endpoint, such as {endpoint}"
    return f"cannot be used ({text})"
