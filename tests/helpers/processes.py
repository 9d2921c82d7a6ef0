"""A long run in a process of its own, to be stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

from alexnet_jax.training.runs.run_directory import RunDirectory

ALEXNET = (sys.executable, "-m", "alexnet_jax")


def write_photos(root: Path) -> Path:
    """A folder with 20 small pictures of each of two classes."""
    rng = np.random.default_rng(1)
    for label, kind in enumerate(("dark", "light")):
        (root / kind).mkdir(parents=True)
        for index in range(20):
            pixels = rng.integers(0, 100, (32, 32, 3), dtype=np.uint8) + np.uint8(150 * label)
            Image.fromarray(pixels).save(root / kind / f"{index}.png")
    return root


class LongRun:
    """A run of 500,000 steps that logs every step and does not save by itself. It leads a process group.

    A context manager: the process group is killed at the end.

    Args:
        workdir: the run directory, beside which the images are written.
        wrapper: the words before ``train`` in the command.
        options: as for ``subprocess.Popen``.
    """

    def __init__(self, workdir: Path, *wrapper: str, **options) -> None:
        folder = write_photos(workdir.with_name("photos"))
        command = [*wrapper, "train", "--preset", "quickstart", "--batch_size", "4", "--epochs", "62500"]
        command += ["--evaluate_every", "60000", "--checkpoint_every", "500000", "--log_every", "1"]
        command += ["--steps_per_dispatch", "1"]
        command += ["--data.dataset", str(folder), "--workdir", str(workdir)]
        self.directory = RunDirectory(workdir)
        defaults = {"stderr": subprocess.PIPE, "process_group": 0}
        self.process = subprocess.Popen(command, **defaults | options)

    def __enter__(self) -> LongRun:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def take_steps(self, count: int = 5) -> None:
        """Waits for ``count`` more steps."""
        goal, deadline = len(self.directory.read_metrics()) + count, time.monotonic() + 600
        while len(self.directory.read_metrics()) < goal:
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def wait(self) -> int:
        """The exit status."""
        return self.process.wait(600)

    @property
    def is_saved(self) -> bool:
        return self.directory.has_checkpoint
