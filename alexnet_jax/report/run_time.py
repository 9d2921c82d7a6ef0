"""Where the time of a run went, from its rows of metrics."""

from __future__ import annotations

from typing import Any


def time_spent(rows: list[dict[str, Any]], batch_size: int, examples: dict[str, int]) -> dict[str, float]:
    """Seconds by activity. Compilation, saving and pauses between two sessions are in no row, and do not count.

    Args:
        rows: the rows of metrics.jsonl.
        batch_size: images in a training step.
        examples: the number of images of each split that is evaluated.
    """
    seconds = {"training": 0.0, "waiting for images": 0.0, "evaluation": 0.0}
    for row in rows:
        speed = row["images_per_second"]
        if not speed:
            continue
        if row["split"] == "train":
            spent = row.get("steps", 0) * batch_size / speed
            waiting = spent * row.get("input_wait", 0.0)
            seconds["waiting for images"] += waiting
            seconds["training"] += spent - waiting
        else:
            seconds["evaluation"] += examples.get(row["split"], 0) / speed
    return seconds
