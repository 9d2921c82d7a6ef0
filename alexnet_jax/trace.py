"""What the devices do in a few steps of a run, as a file for Perfetto and XProf."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import jax

from alexnet_jax.errors import UsageError
from alexnet_jax.train_state import TrainState

WARM_UP = 3
"""Steps before the first that is traced."""
STEPS = 5
"""Steps that are traced."""


class Trace:
    """Writes a trace of some steps after step ``start`` into ``folder``, or nothing where that is None.

    Use it in a ``with``. Raises UsageError where the folder is a file, or too few of ``steps`` are left to trace.
    """

    def __init__(self, folder: Path | None, start: int, steps: int) -> None:
        self._folder = folder
        self._first = start + WARM_UP
        self._last = self._first + STEPS
        self._running = False
        self.written: Path | None = None
        """The file that Perfetto opens, once it is there."""
        if folder is None:
            return
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--profile is {folder}: this is a file; name a folder, or one that can be made")
        if self._last > steps:
            remedy = f"a trace needs {WARM_UP + STEPS}, give it more --epochs"
            raise UsageError(f"--profile is {folder}: {steps - start} step(s) are left of this run and {remedy}")

    def __enter__(self) -> Trace:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running:
            self._stop()

    def after(self, step: int, state: TrainState) -> None:
        """Step ``step`` has been sent off and will give ``state``."""
        begins = not self._running and self.written is None and step >= self._first
        ends = self._running and step >= self._last
        if self._folder is None or not (begins or ends):
            return
        jax.block_until_ready(state)  # so that the trace holds whole steps
        if ends:
            self._stop()
        else:
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # every Python call would bury what the devices do
            jax.profiler.start_trace(self._folder, create_perfetto_trace=True, profiler_options=options)
            self._running = True

    def _stop(self) -> None:
        assert self._folder is not None
        jax.profiler.stop_trace()
        self._running = False
        self.written = max(self._folder.glob("plugins/profile/*/perfetto_trace.json.gz"))  # the folders are dates
