"""Commands in processes that are forked from this one, which has imported everything, so that they start fast."""

from __future__ import annotations

import atexit
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from alexnet_jax.__main__ import main


class Process:
    """An ``alexnet`` command in a process group of its own.

    Args:
        arguments: the words after ``alexnet``.
        log: its standard output goes to this file, and its standard error beside it.
        stdout: a file descriptor for its standard output instead.
        prepare: called in the process before the command.
    """

    def __init__(
        self,
        arguments: Sequence[object],
        log: Path,
        stdout: int | None = None,
        prepare: Callable[[], None] = lambda: None,
    ) -> None:
        self.arguments = list(map(str, arguments))
        self._log = log
        self.returncode: int | None = None
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._run(stdout, prepare)
        os.setpgid(self.pid, self.pid)

    def _run(self, stdout: int | None, prepare: Callable[[], None]) -> NoReturn:
        status = 70
        try:
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(self._log, flags) if stdout is None else stdout, 1)
            os.dup2(os.open(self._log.with_suffix(".stderr"), flags), 2)
            sys.argv = ["alexnet", *self.arguments]
            prepare()
            try:
                main()
            except SystemExit as leaving:
                status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
            threading._shutdown()  # as Python does at its exit
            atexit._run_exitfuncs()
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None if it still runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, seconds: float = 300) -> int:
        """The exit status. Kills the process and raises TimeoutError if it takes too long."""
        if not self.wait_until(lambda: False, seconds):
            self.signal(signal.SIGKILL)
            raise TimeoutError(f"alexnet {' '.join(self.arguments)} did not end in {seconds} s:\n{self.stderr}")
        assert self.returncode is not None
        return self.returncode

    def wait_until(self, condition: Callable[[], bool], seconds: float = 300) -> bool:
        """Waits until the condition holds or the process ends. Returns whether one of them did in time."""
        deadline = time.monotonic() + seconds
        while self.poll() is None and not condition():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def signal(self, number: int, to_group: bool = False) -> None:
        """Sends a signal to the process or to its group, if it still runs."""
        if self.poll() is None:
            (os.killpg if to_group else os.kill)(self.pid, number)

    def limit_files(self, size: int) -> None:
        """Makes each file of the process as small as on a disk that is full."""
        if self.poll() is None:
            resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    @property
    def stdout(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def stderr(self) -> str:
        return self._log.with_suffix(".stderr").read_text(errors="replace")
