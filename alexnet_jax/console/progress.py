"""What a person sees of a run: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

_SECONDS_BETWEEN_LINES = 5.0
_MUCH_WAITING = 0.1


def say(console: Console, line: str) -> None:
    """One line as it is, however wide the terminal."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _new_bar(console: Console, counted: str, time_left: TimeRemainingColumn) -> Progress:
    """A live line that is gone at the end, and nothing where the output is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn(counted),
        MofNCompleteColumn(),
        BarColumn(bar_width=24),
        time_left,
        TextColumn("{task.description}"),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


class Display:
    """Shows a run of ``steps`` steps, of which ``done`` are done, as it goes on. Use it in a ``with``."""

    def __init__(self, console: Console, steps: int, done: int) -> None:
        self._console = console
        self._steps = steps
        self._training = ""
        self._last_line = 0.0
        self._first = done + 1  # the time left is told from here on, without the first step's compilation
        self._first_at = time.monotonic()
        self._bar = _new_bar(console, "step", TimeRemainingColumn())
        self._task = self._bar.add_task(
            "compiling the first step ..." if done < steps else "", total=steps, completed=done
        )

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, step: int, doing: str | None = None) -> None:
        """Step ``step`` is done, or something else is being done after it."""
        if step == self._first and doing is None:
            self._first_at = time.monotonic()
        self._bar.update(self._task, completed=step, description=doing or self._training or "training")

    def row(self, row: dict[str, Any]) -> None:
        """A row of metrics was written."""
        if row["split"] == "train":
            self._training = (
                f"loss {row['loss']:.3f}  top-1 error {row['top1_error']:.2%}  "
                f"{row['images_per_second']:.0f} images/s{_waiting(row)}"
            )
            self._bar.update(self._task, description=self._training)
            due = time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES
            if self._console.is_terminal or not due:
                return
        self._last_line = time.monotonic()
        errors = f"top-1 error {row['top1_error']:.2%}"
        if "top5_error" in row:
            errors += f"  top-5 error {row['top5_error']:.2%}"
        left = "" if self._console.is_terminal else f"  {self._time_left(row['step'])} left"
        self.say(
            f"epoch {row['epoch']:>6.2f}  step {row['step']:>{len(str(self._steps))}}/{self._steps}  "
            f"{row['split']:<10}  loss {row['loss']:.3f}  {errors}  "
            f"learning rate {row['learning_rate']:.6g}  {row['images_per_second']:.0f} images/s{_waiting(row)}{left}"
        )

    def say(self, line: str) -> None:
        """One line that stays."""
        say(self._console, line)

    def _time_left(self, step: int) -> str:
        seconds = (time.monotonic() - self._first_at) / max(1, step - self._first) * (self._steps - step)
        return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


class PreparationDisplay:
    """Shows a preparation of images as it goes on, from where it goes on. Use it in a ``with``."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._first: int | None = None
        self._first_at = self._last_line = time.monotonic()
        self._bar = _new_bar(console, "images", TimeRemainingColumn(elapsed_when_finished=True))
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> PreparationDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, done: int, expected: int) -> None:
        """So many images of those ``expected`` are done."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._first_at = done, now
        rate = (done - self._first) / max(now - self._first_at, 1e-9)
        self._bar.update(self._task, completed=done, total=expected, description=f"{rate:,.0f} images/s")
        if self._console.is_terminal or now - self._last_line < _SECONDS_BETWEEN_LINES or rate == 0:
            return
        self._last_line = now
        minutes, seconds = divmod(round((expected - done) / rate), 60)
        line = f"{done:>11,} of about {expected:,} images  {rate:,.0f} images/s  {minutes}:{seconds:02d} left"
        say(self._console, line)


def _waiting(row: dict[str, Any]) -> str:
    """Says so where the run waits for its images, which more processors or smaller stored images would mend."""
    share = row.get("input_wait", 0.0)
    return f"  waiting for images {share:.0%} of the time" if share > _MUCH_WAITING else ""
