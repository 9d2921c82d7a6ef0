"""Where the time of a run went, from its rows of metrics."""

from __future__ import annotations

from typing import Any

from alexnet_jax.training.runs.metrics_file import seconds_in_steps


def time_spent(rows: list[dict[str, Any]], batch_size: int, examples: dict[str, int]) -> dict[str, float]:
    """Seconds by activity. Compilation, saving and pauses between two sessions are in no row, and do not count.

    Args:
        rows: the rows of metrics.jsonl.
        batch_size: images in a training step.
        examples: the number of images of each split that is evaluated.
    """
    seconds = {"training": 0.0, "waiting for images": 0.0, "evaluation": 0.0}
    for row in rows:
        spent = seconds_in_steps(row, batch_size)
        waiting = spent * row.get("input_wait", 0.0)
        seconds["waiting for images"] += waiting
        seconds["training"] += spent - waiting
        if row["split"] != "train" and row["images_per_second"]:
            seconds["evaluation"] += examples.get(row["split"], 0) / row["images_per_second"]
    return seconds
