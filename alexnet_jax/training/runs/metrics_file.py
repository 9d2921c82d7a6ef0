"""Reads and writes metrics.jsonl: one row of metrics per line, a JSON object (``alexnet_jax.training.metrics_log``)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alexnet_jax.errors import AlexNetError, printable
from alexnet_jax.files import replace_file

Row = dict[str, Any]

_NUMBERS = ("epoch", "loss", "top1_error", "top5_error", "learning_rate")


def read_rows(file: Path, warn: Callable[[str], None] = lambda line: None) -> list[Row]:
    """The rows of ``file``, in its order; none if it does not exist.

    Args:
        file: the file. An incomplete last line, as a crash or a running process leaves it, is ignored.
        warn: called with a line of text about each other line that is not a row. It is left out.

    Raises:
        AlexNetError: the system cannot read the file.
    """
    try:
        *lines, incomplete = file.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        remedy = "nothing was changed; make it readable, or restore it, and try again"
        raise AlexNetError(f"{file}: cannot be read ({error.strerror}); {remedy}") from error
    rows = []
    for number, line in enumerate(lines, start=1):
        row = _row(line)
        if row is None:
            shown = printable(line.decode(errors="backslashreplace"))
            warn(f"{file}: line {number} is not a row of metrics and is left out: {shown}")
        else:
            rows.append(row)
    last = _row(incomplete)
    return rows if last is None else [*rows, last]


def _row(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    is_row = (
        isinstance(row, dict)
        and type(row.get("step")) is int
        and isinstance(row.get("split"), str)
        and all(type(row.get(name)) in (int, float) for name in _NUMBERS)
    )
    return row if is_row else None


def seconds_in_steps(row: Row, batch_size: int) -> float:
    """The seconds of the steps of a training row, with the time that they waited for images.

    0 for other rows, and for a row that is damaged.

    Args:
        row: a row of metrics.
        batch_size: images in a training step.
    """
    steps, speed = row.get("steps"), row.get("images_per_second")
    if row["split"] != "train" or not isinstance(steps, int) or not isinstance(speed, int | float) or speed <= 0:
        return 0.0
    return steps * batch_size / speed


def append_row(file: Path, row: Row) -> None:
    """Appends a row and flushes it to disk."""
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(row) + "\n")
        opened.flush()
        os.fsync(opened.fileno())


def keep_rows_until(file: Path, step: int, warn: Callable[[str], None]) -> None:
    """Deletes the rows of later steps, and lines that are not rows.

    Raises:
        AlexNetError: the system cannot read the file. It is unchanged.
    """
    if file.exists():
        kept = [row for row in read_rows(file, warn) if row["step"] <= step]
        replace_file(file, "".join(json.dumps(row) + "\n" for row in kept))
