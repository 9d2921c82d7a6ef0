"""A small run in several processes on this machine, and what can go wrong in one of them."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alexnet_jax.hosts.team import Team
from alexnet_jax.training import loop
from alexnet_jax.training import start as start_of_run
from tests.chaos.processes import Process
from tests.chaos.scene import STEPS, Ending, Scene

Prepare = Callable[[], None]


class Job(Scene):
    """A run in several processes.

    Args:
        root: an empty directory.
        processes: the number of processes.
        devices: the number of devices of each.
        photos: as in ``Scene``.

    Attributes:
        options: more options of the command.
    """

    def __init__(self, root: Path, processes: int, devices: int, photos: Path | None = None) -> None:
        super().__init__(root, processes * devices, photos)
        self.processes = processes
        self.running: list[Process] = []
        self.options: tuple[object, ...] = ()

    def start_all(self, prepare: Mapping[int, Prepare] | None = None) -> None:
        """Starts or resumes the run. ``prepare`` is called in the processes of these numbers before the command."""
        prepare = prepare or {}
        with socket.socket() as free:
            free.bind(("localhost", 0))
            port = free.getsockname()[1]
        command = ["train", "--config", self.config, "--workdir", self.workdir, "--devices", self.devices]
        command += self.options
        if self.processes == 1:
            self.running = [self.start(command)]
            return
        command += ["--coordinator", f"localhost:{port}", "--processes", self.processes, "--process_id"]
        self.running = [
            Process(
                [*command, index], self.root / f"{next(self._numbers)}.log", prepare=prepare.get(index, _print_digest)
            )
            for index in range(self.processes)
        ]

    def wait(self, seconds: float = 120) -> list[int]:
        """The exit statuses."""
        return [process.wait(seconds) for process in self.running]

    def finish(self) -> Ending:
        """Trains or resumes the run to its end. All processes must end with the same parameters."""
        self.start_all()
        self.wait()
        endings = [self.ending(process) for process in self.running]
        digests = {ending and ending.digest for ending in endings}
        if len(digests) != 1:
            raise AssertionError(f"the processes ended with {digests}: {self.messages()}")
        if endings[0] is None:
            raise AssertionError(f"the run failed: {self.messages()}")
        return endings[0]

    def messages(self) -> str:
        """What the processes wrote to standard error."""
        return "\n".join(f"[{index}] {process.stderr.strip()}" for index, process in enumerate(self.running))


def _print_digest() -> None:
    """Only process 0 prints the digest by itself."""
    train = loop.train

    def train_and_print(*arguments: Any, team: Team, **options: Any) -> loop.Result:
        result = train(*arguments, team=team, **options)
        if not team.is_main and result.stopped_by is None:
            print(f"parameters SHA-256 {result.params_sha256}", flush=True)
        return result

    def measure_twice(*arguments: object) -> None:
        raise AssertionError("only process 0 measures the statistics")

    loop.train = train_and_print
    if sys.argv[-1] != "0":
        start_of_run.training_statistics = measure_twice


def at_step(step: int, act: Callable[[], None]) -> Prepare:
    """Makes a process ``act`` where it reads the images after ``step`` steps."""

    def prepare() -> None:
        _print_digest()
        dispatches = loop.dispatches

        def disturbed(*arguments: object):
            for reached, batches in dispatches(*arguments):
                if reached > step:
                    act()
                yield reached, batches

        loop.dispatches = disturbed

    return prepare


def _raise() -> None:
    raise OSError("the disk of this host failed")


def _block() -> None:
    time.sleep(1e6)


ACTS: dict[str, Callable[[], None]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stopped": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "raising": _raise,
    "stuck": _block,
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "Ctrl-C": lambda: os.kill(os.getpid(), signal.SIGINT),
}
"""What can happen to a process."""
STOPS = ("SIGTERM", "Ctrl-C")
"""What stops all processes at the same step, with a checkpoint."""


def random_step(chance: random.Random) -> int:
    """A step, after which each activity has been measured and some steps are left."""
    return chance.randrange(4, STEPS - 60)
