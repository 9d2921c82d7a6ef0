"""Downloads a file into a cache: once for all processes, resumed where it broke off, and checked.

pooch and fsspec neither resume a file nor lock it, so this module does both, with requests and filelock.
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from alexnet_jax.errors import AlexNetError, UsageError, first_line
from alexnet_jax.transfers import Report, only_process, transfer_bar
from alexnet_jax.weights.catalogue import RemoteFile

_CHUNK_BYTES = 2**16
"""A broken connection loses the chunk that it breaks in."""
_TEMPORARY_STATUSES = (408, 429, 500, 502, 503, 504)
_WRONG_URLS = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)


@dataclass(frozen=True)
class Patience:
    """How long a download waits and how often it tries.

    Attributes:
        connect: seconds until a connection counts as failed.
        stall: seconds without a byte until a connection counts as broken.
        tries: attempts in a row that may bring no byte.
        pause: seconds after the first such attempt. Each further one doubles them.
    """

    connect: float = 10.0
    stall: float = 30.0
    tries: int = 4
    pause: float = 1.0


PATIENCE = Patience()


class _BrokenError(Exception):
    """An attempt ended before the file did. The next one can succeed."""


def fetch(file: RemoteFile, folder: Path, progress: bool = True) -> Path:
    """The file in ``folder``, which is downloaded unless it is there.

    A second process waits until the first one has downloaded it. A download that was interrupted resumes where it
    stopped, if the file has a checksum.

    Args:
        file: the file.
        folder: where to keep it.
        progress: whether to report the download on standard error, in a terminal with a progress bar.

    Raises:
        AlexNetError: the file cannot be downloaded or written, or has another checksum. It is then not kept.
        UsageError: its URL is not valid.
    """
    target = folder / file.name
    try:
        if not target.exists():
            folder.mkdir(parents=True, exist_ok=True)
            waiting = f"waiting for another process, which downloads {target.name}" if progress else None
            with only_process(target.with_name(f".{target.name}.lock"), waiting):
                if not target.exists():
                    _download(file, target, progress)
                    return target
        if not _has_checksum(file, target):
            raise AlexNetError(f"{target}: {_checksum_problem(file)}; delete it, and it will be downloaded again")
    except OSError as error:  # not one of the network, which _download handles
        raise AlexNetError(
            f"{target}: cannot be read or written ({error.strerror or first_line(error)}); set XDG_CACHE_HOME to a "
            "directory with space"
        ) from error
    return target


def _download(file: RemoteFile, target: Path, progress: bool) -> None:
    part = target.with_name(f".{target.name}.part")
    if not file.digest:  # without a checksum, nothing shows that the old part belongs to the same file
        part.unlink(missing_ok=True)
    has_old_part = _size(part) > 0
    with transfer_bar(file.name, f"downloading {file.url}", progress) as report:
        _try_until_complete(file, target, part, report)
    if not _has_checksum(file, part):
        part.unlink()
        if has_old_part:  # perhaps of another version of the file
            return _download(file, target, progress)
        raise AlexNetError(f"{file.url}: {_checksum_problem(file)} and was not kept; use another source")
    part.replace(target)
    return None


def _try_until_complete(file: RemoteFile, target: Path, part: Path, report: Report) -> None:
    failures = 0
    while True:
        size = _size(part)
        try:
            return _continue(file.url, part, report)
        except _WRONG_URLS as error:
            raise UsageError(f"{file.url}: is not a URL of a file; use one that starts with https://") from error
        except (requests.RequestException, _BrokenError) as error:
            failures = failures + 1 if _size(part) <= size else 0
            if failures == PATIENCE.tries:
                raise AlexNetError(
                    f"{file.name}: {urlsplit(file.url).netloc} does not send it ({_reason(error)}); put the file at "
                    f"{target}, or set ALEXNET_JAX_MIRROR to the URL of a folder that has it"
                ) from error
        time.sleep(PATIENCE.pause * 2 ** max(0, failures - 1))


def _continue(url: str, part: Path, report: Report) -> None:
    """Downloads what ``part`` lacks.

    Raises:
        _BrokenError, requests.RequestException: the connection broke, or the server failed for now.
        AlexNetError: the server does not have the file.
    """
    start = _size(part)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(url, headers=headers, stream=True, timeout=(PATIENCE.connect, PATIENCE.stall)) as response:
        status = response.status_code
        if status == requests.codes.requested_range_not_satisfiable and start:
            if _sent_range(response) == (None, start):
                return  # the part is the whole file
            part.unlink()
            raise _BrokenError("the part on disk is longer than the file")
        if status in _TEMPORARY_STATUSES:
            raise _BrokenError(f"status {status}")
        if status not in (requests.codes.ok, requests.codes.partial_content):
            raise AlexNetError(f"{url}: the server answers with status {status}; use another source")
        first, total = _sent_range(response)
        if status == requests.codes.partial_content and first != start:
            part.unlink(missing_ok=True)
            raise _BrokenError("the server sends another part than it was asked for")
        _append(response, part, start if status == requests.codes.partial_content else 0, total, report)


def _append(response: requests.Response, part: Path, start: int, total: int | None, report: Report) -> None:
    with part.open("ab") as output:
        output.truncate(start)
        done = start
        for chunk in response.iter_content(_CHUNK_BYTES):
            output.write(chunk)
            done += len(chunk)
            report(done, total)
    if total is not None and done != total:
        raise _BrokenError(f"{done:,} of {total:,} bytes")


def _sent_range(response: requests.Response) -> tuple[int | None, int | None]:
    """The first byte that the server sends, and the size of the whole file, as far as its headers say."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if match:
        first, total = match.groups()
        return None if first is None else int(first), int(total) if total.isdigit() else None
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "no answer in time"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return first_line(error)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _has_checksum(file: RemoteFile, path: Path) -> bool:
    if not file.digest:
        return True
    with path.open("rb") as content:
        return hashlib.file_digest(content, file.algorithm).hexdigest().startswith(file.digest)


def _checksum_problem(file: RemoteFile) -> str:
    return f"its {file.algorithm.upper()} is not {file.digest}, so it is damaged or another file"
