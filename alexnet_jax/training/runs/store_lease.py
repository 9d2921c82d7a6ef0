"""A lease on a run on an object store: one process at a time writes there."""

from __future__ import annotations

import contextlib
import json
import threading
from dataclasses import asdict

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.stores.store import Store, StoreError
from alexnet_jax.training.runs.lease import Holder, this_process

DURATION = 120.0
"""Seconds after which a lease that is not renewed has expired."""

NAME, _CLOCK = "lease.json", "lease.clock"
OBJECTS = (NAME, _CLOCK)
"""The objects of a lease."""


class StoreLease:
    """A context in which no other process can take the lease. A thread renews it.

    The clock of the store decides whether a lease has expired, because the clocks of two machines may differ. Two
    processes that find the same expired lease may both take it; ``check`` stops the first.

    Args:
        store: the run.
        duration: seconds for which the lease lasts without being renewed.
    """

    def __init__(self, store: Store, duration: float = DURATION) -> None:
        self._store = store
        self._duration = duration
        self._own = this_process()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="store lease", daemon=True)

    def __enter__(self) -> StoreLease:
        """Takes the lease.

        Raises:
            UsageError: another process holds it.
            StoreError: the store cannot be read or written.
        """
        holder = self._read()
        if holder is not None and not holder.is_gone() and not self._is_expired():
            raise self._held(holder)
        self._store.delete([NAME])
        if not self._store.create(NAME, self._content()):
            raise self._held(self._read())
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Gives the lease back, if this process still has it."""
        self._ends.set()
        self._thread.join()  # it must not write the lease again
        with contextlib.suppress(StoreError):
            if self._read() == self._own:
                self._store.delete(OBJECTS)

    def check(self) -> None:
        """Does nothing while this process holds the lease. Call it before each write.

        Raises:
            AlexNetError: another process has taken the lease, because this one could not renew it.
            StoreError: the store cannot be read.
        """
        holder = self._read()
        if holder == self._own:
            return
        raise AlexNetError(
            f"{self._store.url}: {holder or 'another process'} has taken over this run, while this one was stopped or "
            "could not reach the store; this one ends and writes nothing more"
        )

    def _held(self, holder: Holder | None) -> UsageError:
        return UsageError(
            f"{self._store.url}: {holder or 'another process'} is training this run; wait for its end, stop it, or use "
            f"another --workdir (if that machine crashed, wait {self._duration:.0f} seconds)"
        )

    def _renew(self) -> None:
        while not self._ends.wait(self._duration / 6):
            with contextlib.suppress(StoreError):  # the next time may succeed
                if self._read() == self._own:
                    self._store.write(NAME, self._content())

    def _content(self) -> bytes:
        return json.dumps(asdict(self._own)).encode() + b"\n"

    def _read(self) -> Holder | None:
        try:
            return Holder(**json.loads(self._store.read(NAME) or b"{}"))
        except (ValueError, TypeError):
            return None

    def _is_expired(self) -> bool:
        self._store.write(_CLOCK, b"")
        now, taken = self._store.modified(_CLOCK), self._store.modified(NAME)
        return now is None or taken is None or now - taken > self._duration
