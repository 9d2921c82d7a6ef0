"""The folder of one run: its config, its metrics, and where its checkpoints and pictures are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.serialize import config_from_json, config_to_json, differences
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.files import replace_file

MAY_DIFFER = {"data.data_dir", "log_every", "checkpoint_every"}
"""Fields that change nothing in the net that a run ends with."""

_MOST_NAMED = 5

Row = dict[str, Any]


class RunDirectory:
    """Paths in the folder ``root``, which is made when something is first written."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config.json"
        self.classes = root / "classes.txt"
        self.metrics = root / "metrics.jsonl"
        self.checkpoints = root / "checkpoints"
        self.curves = root / "curves.png"
        self.filters = root / "filters.png"

    @property
    def has_begun(self) -> bool:
        """Whether a checkpoint is here: until then there is nothing to go on from, and nothing to lose."""
        return self.checkpoints.exists() and any(entry.name.isdigit() for entry in self.checkpoints.iterdir())

    def read_config(self) -> TrainConfig:
        """The config of the run.

        Raises AlexNetError where there is none, or none that can be read.
        """
        try:
            return config_from_json(self.config.read_text())
        except (FileNotFoundError, NotADirectoryError) as error:
            raise AlexNetError(
                f"{self.root}: no run is here (no config.json); `alexnet train --workdir` makes one"
            ) from error
        except (OSError, ValueError) as error:
            raise AlexNetError(
                f"{self.config}: cannot be read as a config; restore it, or train in another folder"
            ) from error

    def read_classes(self) -> tuple[str, ...]:
        """The names of the classes, as far as they are known."""
        return tuple(self.classes.read_text().splitlines()) if self.classes.exists() else ()

    def claim(self, config: TrainConfig, class_names: tuple[str, ...]) -> None:
        """Writes ``config`` and the names of the classes, or holds it against that of the run that is here already.

        Raises UsageError where they differ in what a run cannot change; it may get more epochs.
        """
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"--workdir is {self.root}: this is a file; name a folder, or one that can be made")
        if self.has_begun:
            self._check_same_run(self.read_config(), config)
        self.root.mkdir(parents=True, exist_ok=True)
        replace_file(self.config, config_to_json(config) + "\n")
        replace_file(self.classes, "".join(f"{name}\n" for name in class_names))

    def _check_same_run(self, old: TrainConfig, new: TrainConfig) -> None:
        parts = [
            f"{name} is {_short(before)} there and {_short(after)} here"
            for name, before, after in differences(old, new)
            if name not in MAY_DIFFER and not (name == "epochs" and after > before)
        ]
        if parts:
            more = f"; and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
            raise UsageError(
                f"{self.root} holds another run: {'; '.join(parts[:_MOST_NAMED])}{more}; use another --workdir, or the "
                "same values"
            )

    def keep_metrics_until(self, step: int) -> None:
        """Drops rows of later steps, and a row that was half-written, so that a resumed run writes them once."""
        kept = [row for row in self.read_metrics() if row["step"] <= step]
        if kept or self.metrics.exists():
            replace_file(self.metrics, "".join(json.dumps(row) + "\n" for row in kept))

    def read_metrics(self) -> list[Row]:
        """The rows of metrics.jsonl, as far as they were written whole."""
        if not self.metrics.exists():
            return []
        rows = []
        for line in self.metrics.read_text().splitlines():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
        return rows

    def append_metrics(self, row: Row) -> None:
        """Adds a row, on disk when this returns."""
        with self.metrics.open("a") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
