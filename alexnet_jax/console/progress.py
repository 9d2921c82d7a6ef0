"""Progress as lines and live bars. Without a terminal, only lines are printed."""

from __future__ import annotations

import textwrap
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

_INDENT = " " * 10
_SECONDS_BETWEEN_LINES = 5.0
_MUCH_WAITING = 0.1
_WIDTHS = {
    "epoch": 6,
    "split": 10,
    "loss": 6,
    "top1_error": 7,
    "top5_error": 7,
    "learning_rate": 8,
    "images_per_second": 8,
    "time_left": 6,
}
"""Widths of the columns of the metrics table: 65 in total, 58 without the time left."""


def say(console: Console, text: str) -> None:
    """Prints lines such as ``key       value``. In a terminal, they wrap between words and continue below the value."""
    for line in text.splitlines():
        if console.is_terminal:
            line = textwrap.fill(
                line, console.width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
            )
        say_verbatim(console, line)


def say_verbatim(console: Console, line: str) -> None:
    """Prints a line without wrapping it, so that the user can copy a command from it."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def _new_bar(console: Console, unit: str, time_left: TimeRemainingColumn) -> Progress:
    """A live line of at most 60 columns, which disappears at the end."""
    return Progress(
        SpinnerColumn(),
        TextColumn(unit),
        MofNCompleteColumn(),
        BarColumn(bar_width=10),
        time_left,
        TextColumn("{task.description}"),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


class Display:
    """A context manager that shows the progress of a run.

    Args:
        console: where to print.
        steps: the number of steps of the run.
        done: the number of steps taken before the start.
    """

    def __init__(self, console: Console, steps: int, done: int) -> None:
        self._console = console
        self._steps = steps
        self._training = ""
        self._last_line = 0.0
        self._has_header = False
        self._has_warned = False
        self._first = done + 1  # the first step includes compilation, so the time left is estimated without it
        self._first_at = time.monotonic()
        self._bar = _new_bar(console, "step", TimeRemainingColumn())
        self._task = self._bar.add_task(
            "compiling ..." if done < self._steps else "", total=self._steps, completed=done
        )

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, step: int, activity: str | None = None) -> None:
        """Shows that ``step`` is done, and the current ``activity`` if it is not training."""
        if step == self._first and activity is None:
            self._first_at = time.monotonic()
        self._bar.update(self._task, completed=step, description=activity or self._training or "training")

    def row(self, row: dict[str, Any]) -> None:
        """Shows a row of metrics. Training rows are printed every few seconds, or shown in the bar of a terminal."""
        if row["split"] == "train":
            self._training = f"loss {row['loss']:.3f}  {row['images_per_second']:,.0f} images/s"
            self._bar.update(self._task, description=self._training)
            self._warn_of_waiting(row.get("input_wait", 0.0))
            is_due = time.monotonic() - self._last_line >= _SECONDS_BETWEEN_LINES
            if self._console.is_terminal or not is_due:
                return
        self._last_line = time.monotonic()
        if not self._has_header:
            self._has_header = True
            titles = ["epoch", "split", "loss", "error", "top-5", "rate", "images/s", "left"]
            self._say_cells(dict(zip(_WIDTHS, titles, strict=True)), "top5_error" in row)
        cells = {
            "epoch": f"{row['epoch']:.2f}",
            "split": row["split"],
            "loss": f"{row['loss']:.3f}",
            "top1_error": f"{row['top1_error']:.2%}",
            "top5_error": f"{row.get('top5_error', 0.0):.2%}",
            "learning_rate": f"{row['learning_rate']:.6g}",
            "images_per_second": f"{row['images_per_second']:,.0f}",
            "time_left": self._time_left(row["step"]),
        }
        self._say_cells(cells, "top5_error" in row)

    def _say_cells(self, cells: dict[str, str], has_top5: bool) -> None:
        """Prints a row of the table. In a terminal the bar shows the time left, and the row has no cell for it."""
        left_out = [*([] if has_top5 else ["top5_error"]), *(["time_left"] if self._console.is_terminal else [])]
        shown = [
            f"{text:<{_WIDTHS[name]}}" if name == "split" else f"{text:>{_WIDTHS[name]}}"
            for name, text in cells.items()
            if name not in left_out
        ]
        say_verbatim(self._console, " ".join(shown))

    def say(self, line: str) -> None:
        """Prints a permanent line."""
        say(self._console, line)

    def _warn_of_waiting(self, fraction: float) -> None:
        if fraction > _MUCH_WAITING and not self._has_warned:
            self._has_warned = True
            self.say(f"note      waiting for images {fraction:.0%} of the time; smaller stored images help")

    def _time_left(self, step: int) -> str:
        seconds = (time.monotonic() - self._first_at) / max(1, step - self._first) * (self._steps - step)
        return _minutes(seconds)


class CountDisplay:
    """A context manager that shows how many images, or other units of work, are done.

    Args:
        console: where to print.
        is_estimate: whether the expected number is an estimate.
        unit: the name of a unit, in the plural.
    """

    def __init__(self, console: Console, is_estimate: bool = False, unit: str = "images") -> None:
        self._unit = unit
        self._of = "of about" if is_estimate else "of"
        self._console = console
        self._first: int | None = None
        self._first_at = self._last_line = time.monotonic()
        self._bar = _new_bar(console, unit, TimeRemainingColumn(elapsed_when_finished=True))
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> CountDisplay:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, done: int, expected: int) -> None:
        """Shows that ``done`` of ``expected`` units are done."""
        now = time.monotonic()
        if self._first is None:
            self._first, self._first_at = done, now
        rate = (done - self._first) / max(now - self._first_at, 1e-9)
        self._bar.update(self._task, completed=done, total=expected, description=f"{rate:,.0f} {self._unit}/s")
        if self._console.is_terminal or now - self._last_line < _SECONDS_BETWEEN_LINES or rate == 0:
            return
        self._last_line = now
        left = _minutes((expected - done) / rate)
        work = f"{done:,} {self._of} {expected:,}, {rate:,.0f} {self._unit}/s"
        say(self._console, f"{self._unit:<9} {work}, {left} left")


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
