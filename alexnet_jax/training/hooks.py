"""Measurements of a training loop: its speed, and a profiler trace."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import jax

from alexnet_jax.errors import UsageError
from alexnet_jax.training.steps.state import TrainState

_Batch = TypeVar("_Batch")

TRACE_WARM_UP = 3
"""Steps before the first traced step."""
TRACE_STEPS = 5
"""Traced steps."""


class Pace:
    """Measures the time since ``restart``, and the part of it that the loop waited for batches."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Starts a new measurement."""
        self._start = time.monotonic()
        self._waited = 0.0

    def watch(self, batches: Iterable[_Batch]) -> Iterator[_Batch]:
        """Yields ``batches`` and adds the time that each took to arrive."""
        asked = time.monotonic()
        for batch in batches:
            self._waited += time.monotonic() - asked
            yield batch
            asked = time.monotonic()

    def images_per_second(self, images: int) -> float:
        """The rate, for ``images`` images since ``restart``."""
        return images / (time.monotonic() - self._start)

    def input_wait(self) -> float:
        """The fraction of the time that the loop waited for batches."""
        return self._waited / (time.monotonic() - self._start)


class Trace:
    """A context manager that writes a profiler trace of a few steps, for Perfetto and XProf.

    Args:
        directory: the directory of the trace; None disables it.
        start: the step at which the run starts or resumes.
        steps: the number of steps of the run.

    Raises:
        UsageError: ``directory`` is a file, or too few steps are left.
    """

    def __init__(self, directory: Path | None, start: int, steps: int) -> None:
        self._directory = directory
        self._first = start + TRACE_WARM_UP
        self._last = self._first + TRACE_STEPS
        self._is_running = False
        self.file: Path | None = None
        """The file to open in Perfetto, once it is written."""
        if directory is None:
            return
        if directory.exists() and not directory.is_dir():
            raise UsageError(f"--profile is {directory}: it is a file; name a directory")
        if self._last > steps:
            remedy = f"a trace needs {TRACE_WARM_UP + TRACE_STEPS}, use more --epochs"
            raise UsageError(f"--profile is {directory}: {steps - start} step(s) are left in this run, {remedy}")

    def __enter__(self) -> Trace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_running:
            self._stop()

    def after(self, step: int, state: TrainState) -> None:
        """Starts or stops the trace after ``step``, which was dispatched and returns ``state``."""
        starts = not self._is_running and self.file is None and step >= self._first
        stops = self._is_running and step >= self._last
        if self._directory is None or not (starts or stops):
            return
        jax.block_until_ready(state)  # so that the trace holds whole steps
        if stops:
            self._stop()
        else:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # Python calls would hide the work of the devices
            jax.profiler.start_trace(self._directory, create_perfetto_trace=True, profiler_options=options)
            self._is_running = True

    def _stop(self) -> None:
        assert self._directory is not None
        jax.profiler.stop_trace()
        self._is_running = False
        # the subdirectories are named by date
        self.file = max(self._directory.glob("plugins/profile/*/perfetto_trace.json.gz"))
