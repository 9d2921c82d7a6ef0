"""Ends this process when another one has failed, or when one of them blocks all others.

JAX's collectives have no time limit: a process that is alive but stuck blocks all others. A thread of each process
reports its activity to the others through the key-value store of JAX's coordination service.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import jax

from alexnet_jax.hosts.progress import SILENT_FOR, Durations, Progress, silent_process, slowest_process

_PROGRESS, _CAUSES = "alexnet/progress/", "alexnet/causes/"
_PROCESSES_PER_SECOND = 32.0  # that may ask the coordinator
_SECONDS_TO_TELL = 5.0


class Watchdog:
    """Tells the other processes of a run what this one does, and watches them.

    Args:
        client: the client of JAX's coordination service.
        index: the number of this process.
        count: the number of processes.
        limit: as in ``Durations``.
    """

    def __init__(self, client: Any, index: int, count: int, limit: float | None) -> None:
        self._client, self._index = client, index
        self._period = max(1.0, count / _PROCESSES_PER_SECOND)
        self._durations = Durations(limit)
        self._lock = threading.Lock()
        self._progress = Progress(socket.gethostname(), 0, "starts", 0, 0)
        self._since = time.monotonic()
        self._last_told: dict[int, tuple[Progress, float]] = {}
        self._ends = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def begins(self, activity: str) -> None:
        """As in ``Team``."""
        with self._lock:
            now = time.monotonic()
            self._durations.add(self._progress.activity, now - self._since)
            self._progress = replace(self._progress, activity=activity, count=self._progress.count + 1)
            self._since = now

    def reaches(self, step: int) -> None:
        """As in ``Team``."""
        with self._lock:
            self._progress = replace(self._progress, step=step)

    def stop(self) -> None:
        """Ends the watch: from now on this process does not end itself."""
        self._ends.set()

    def tell_failure(self, text: str) -> None:
        """Ends the watch, and tells the other processes that this one has failed. They end."""
        self.stop()
        self._tell(f"process {self._index} on {self._progress.host} failed after step {self._progress.step:,}: {text}")

    def cause(self) -> str | None:
        """The reason why an exchange between processes failed. Waits for it; None if none is reported in time."""
        self.stop()
        deadline = time.monotonic() + SILENT_FOR + _SECONDS_TO_TELL
        while time.monotonic() < deadline:
            try:
                found = self._tell_and_look()
            except jax.errors.JaxRuntimeError:
                return "process 0, the coordinator, does not answer: it or its host was stopped, or failed"
            if found is not None:
                return found
            time.sleep(self._period)
        return None

    def _watch(self) -> None:
        while not self._ends.wait(self._period):
            with contextlib.suppress(jax.errors.JaxRuntimeError):  # JAX ends this process if the coordinator is gone
                found = self._tell_and_look() or self._overdue()
                if found is not None and not self._ends.is_set():  # by the main thread
                    self._tell(found)
                    self._end(found)

    def _tell_and_look(self) -> str | None:
        """Reports the progress, and looks for a process that has failed or has stopped reporting."""
        with self._lock:
            self._progress = replace(self._progress, told=self._progress.told + 1)
            text = self._progress.to_json()
        self._client.key_value_set(f"{_PROGRESS}{self._index}", text, allow_overwrite=True)
        for _, cause in sorted(self._client.key_value_dir_get(_CAUSES)):
            return str(cause)
        now = time.monotonic()
        for key, text in self._client.key_value_dir_get(_PROGRESS):
            index, progress = int(key.rpartition("/")[2]), Progress.from_json(text)
            if index not in self._last_told or self._last_told[index][0].told != progress.told:
                self._last_told[index] = (progress, now)
        return silent_process(self._last_told, now)

    def _overdue(self) -> str | None:
        with self._lock:
            seconds = time.monotonic() - self._since
            limit = self._durations.limit(self._progress.activity)
        if seconds <= limit:
            return None
        return slowest_process({index: progress for index, (progress, _) in self._last_told.items()}, seconds)

    def _end(self, cause: str) -> None:
        """Ends the process from this thread, because the main thread may be blocked in an exchange with the others."""
        print(f"alexnet: error: {self.message(cause)}", file=sys.stderr, flush=True)
        os._exit(1)

    def message(self, cause: str) -> str:
        """The error of this process for a ``cause`` that is not its own."""
        return f"process {self._index}: {cause}; the same command resumes from the last checkpoint"

    def _tell(self, cause: str) -> None:
        """Tells the other processes why they have to end."""
        with contextlib.suppress(jax.errors.JaxRuntimeError):  # the coordinator is gone, and all end
            self._client.key_value_set(f"{_CAUSES}{self._index}", cause)
        if self._index == 0:
            time.sleep(_SECONDS_TO_TELL)  # the coordinator ends with this process
