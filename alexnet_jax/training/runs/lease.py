"""A lease on a run directory: one process at a time writes there, on any host that sees the directory."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.files import replace_file

DURATION = 60.0
"""Seconds after which a lease that is not renewed has expired."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lease.

    Attributes:
        machine: identifies the host, its boot and the container, within which process ids are unique.
        started: when the process started, in clock ticks since the boot; None if the system does not report it.
        token: differs for each lease that a process takes.
    """

    process: int
    host: str
    machine: str
    started: int | None
    token: str

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    def is_gone(self) -> bool:
        """Whether the process ran on this machine and has ended. Its id may belong to another process by now."""
        if self.machine != _machine() or os.name == "nt":  # where os.kill ends the process
            return False
        try:
            with contextlib.suppress(PermissionError):  # it exists
                os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        return _start_time(self.process) not in (self.started, None)


def this_process() -> Holder:
    """A holder for this process, with a new random token."""
    return Holder(os.getpid(), socket.gethostname(), _machine(), _start_time(os.getpid()), secrets.token_hex(8))


class Lease:
    """A context in which no other process can take the lease. A thread renews it.

    The clock of the file system decides whether a lease has expired, because the clocks of two hosts may differ.

    Args:
        directory: the directory to hold. It must exist when the context is entered.
        duration: seconds for which the lease lasts without being renewed.
    """

    def __init__(self, directory: Path, duration: float = DURATION) -> None:
        self._directory = directory
        self._file = directory / "lease.json"
        self._duration = duration
        self._own: Holder | None = None
        self._ends = threading.Event()

    def __enter__(self) -> Lease:
        """Takes the lease. Raises UsageError if another process holds it."""
        own = this_process()
        with self._one_at_a_time():
            holder = self._read()
            if holder is not None and not holder.is_gone() and not self._is_expired():
                raise UsageError(
                    f"{self._directory}: {holder} is training this run; wait for its end, stop it, or use another "
                    f"--workdir (if that host crashed, wait {self._duration:.0f} seconds)"
                )
            replace_file(self._file, json.dumps(asdict(own)) + "\n")
        self._own = own
        self._ends.clear()
        threading.Thread(target=self._renew, name="lease", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        """Gives the lease back, if this process still has it."""
        self._ends.set()
        with contextlib.suppress(OSError), self._one_at_a_time():
            if self._read() == self._own:
                self._file.unlink()
        self._own = None

    def check(self) -> None:
        """Does nothing while this process holds the lease, or outside of the context. Call it before each write.

        Raises:
            AlexNetError: another process has taken the lease, because this one was stopped for longer than it lasts.
        """
        if self._own is None or (holder := self._read()) == self._own:
            return
        raise AlexNetError(
            f"{self._directory}: {holder or 'another process'} has taken over this run, while this one was stopped or "
            "could not reach the directory; this one ends and writes nothing more"
        )

    def _renew(self) -> None:
        while not self._ends.wait(self._duration / 6):
            with contextlib.suppress(OSError):  # the next time may succeed
                if self._read() == self._own:
                    os.utime(self._file)

    def _read(self) -> Holder | None:
        """The holder, or None if there is none or a crash of the host left an incomplete file."""
        try:
            return Holder(**json.loads(self._file.read_text(encoding="utf-8")))
        except (FileNotFoundError, IsADirectoryError, ValueError, TypeError):
            return None

    def _is_expired(self) -> bool:
        with tempfile.NamedTemporaryFile(dir=self._directory, prefix=".clock") as now, self._file.open("rb") as lease:
            now.write(b".")
            now.flush()
            age = os.fstat(now.fileno()).st_mtime - os.fstat(lease.fileno()).st_mtime  # open reads current attributes
        return age > self._duration

    @contextlib.contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        """Without file locks, two processes may both take an expired lease; ``check`` then stops the first."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError, NotImplementedError):
                stack.enter_context(filelock.FileLock(self._directory / ".lease.lock", timeout=10))
            yield


def _machine() -> str:
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def _start_time(process: int) -> int | None:
    """Field 22 of ``/proc/PID/stat`` on Linux. The second field, in parentheses, may contain spaces."""
    try:
        return int(Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
