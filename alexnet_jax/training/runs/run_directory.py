"""The directory of one run: its config, class names, metrics and versions, and the paths of its other files."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from alexnet_jax.config import DataConfig, TrainConfig
from alexnet_jax.config.serialize import config_from_json, config_to_json, differences
from alexnet_jax.data.identity import Identity, describe_data_change
from alexnet_jax.errors import AlexNetError, UsageError, first_line
from alexnet_jax.files import replace_file
from alexnet_jax.hints import command
from alexnet_jax.training.runs.checkpoint_files import checkpoint_steps, remove_all
from alexnet_jax.training.runs.goodput import Start, next_start
from alexnet_jax.training.runs.lease import Lease
from alexnet_jax.training.runs.metrics_file import Row, append_row, keep_rows_until, read_rows
from alexnet_jax.training.runs.versions import describe_change, versions_in_use

MAY_DIFFER = {"data.data_dir", "data.max_unreadable", "log_every", "checkpoint_every", "keep_every", "on_nan"}
"""Fields that may change when a run is resumed, because they do not change the steps taken so far."""

_IN_IDENTITY = {"data.dataset", "data.train_examples"}
"""Fields that the identity of the data stands for, where it is known."""

_PATHS = {"data.dataset", "init"}
"""Fields with paths. Runs of earlier versions have relative ones."""

_MOST_NAMED = 5

Which = Literal["latest", "best"] | int
"""The checkpoint to read: that of the latest step, that with the smallest validation error, or that of a step."""


class RunDirectory:
    """The files of a run in the directory ``root``, which ``claim`` makes.

    Attributes:
        root: the directory.
        config: the ``TrainConfig``, as JSON.
        classes: the names of the classes, one per line.
        data: what identifies the examples of the data set (``Identity``), as JSON.
        unreadable: the training images that could not be read, each with a tab and the reason.
        metrics: the rows of metrics, one JSON object per line.
        versions: a JSON list of the versions of JAX and others, each entry with the first step that used them.
        starts: a JSON list of the times at which processes began to work on the run (``Start``).
        checkpoints: the directory of the checkpoints (``Checkpoints``).
        curves: a plot of the metrics, drawn at the end of the run.
        filters: a picture of the kernels of conv1, drawn at the end of the run.
        outputs: the directory of the outputs of frozen layers (``keep_outputs``), which can be deleted.
        lease: held by the process that trains the run.
        place: what a user calls the directory: ``root``, or the URL of the run of which it is a copy.
        publish: brings the run at that URL up to date. Does nothing for a run of this machine.
    """

    def __init__(self, root: Path, place: str | Path | None = None, publish: Callable[[], None] = lambda: None) -> None:
        self.root = root
        self.place = place or root
        self.publish = publish
        self.config = root / "config.json"
        self.classes = root / "classes.txt"
        self.data = root / "data.json"
        self.unreadable = root / "unreadable.txt"
        self.metrics = root / "metrics.jsonl"
        self.versions = root / "versions.json"
        self.starts = root / "starts.json"
        self.checkpoints = root / "checkpoints"
        self.curves = root / "curves.png"
        self.filters = root / "filters.png"
        self.outputs = root / "outputs"
        self.lease = Lease(root)

    @property
    def has_checkpoint(self) -> bool:
        """Whether the run has a checkpoint. Before the first, the run cannot be resumed."""
        return bool(checkpoint_steps(self.checkpoints))

    def best_step(self, data: DataConfig, steps: Collection[int] | None = None) -> int | None:
        """The step with the smallest top-1 error on validation images, among those with a checkpoint.

        None without such a step, if the validation images are the test images, because the test error chooses nothing,
        or if the run trains on the validation images at its end.

        Args:
            data: the data of the run.
            steps: the steps to choose from. None means those with a checkpoint in this directory.
        """
        if data.validation_split == data.test_split or data.fold_in_epoch is not None:
            return None
        steps = set(checkpoint_steps(self.checkpoints) if steps is None else steps)
        rows = [row for row in self.read_metrics() if row["split"] == "validation" and row["step"] in steps]
        return min(rows, key=lambda row: (row["top1_error"], -row["step"]))["step"] if rows else None

    def read_config(self) -> TrainConfig:
        """The config of the run.

        Raises:
            AlexNetError: the config does not exist or cannot be read.
        """
        try:
            return config_from_json(self.config.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError) as error:
            if self.has_checkpoint:
                remedy = "restore it, train in another directory, or train again with --overwrite"
                raise AlexNetError(f"{self.config}: is missing, and the run has checkpoints; {remedy}") from error
            raise AlexNetError(
                f"{self.root}: holds no run (no config.json); `{command('train', '--workdir', self.root)}` makes one"
            ) from error
        except (OSError, ValueError) as error:
            raise AlexNetError(
                f"{self.config}: cannot be read as a config: {first_line(error)}; restore it, or train in another "
                "directory"
            ) from error

    def read_classes(self) -> tuple[str, ...]:
        """The names of the classes, or () if they are not known.

        Raises:
            AlexNetError: the file cannot be read.
        """
        try:
            text = self.classes.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except (OSError, ValueError) as error:
            raise AlexNetError(f"{self.classes}: cannot be read ({first_line(error)}); restore it") from error
        return tuple(text.removesuffix("\n").split("\n")) if text else ()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A context in which only this process trains the run. Makes the directory.

        Raises:
            UsageError: another process trains the run, or ``root`` is a file.
            AlexNetError: the directory cannot be written.
        """
        if self.root.exists() and not self.root.is_dir():
            raise UsageError(f"--workdir is {self.root}: it is a file; name a directory")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AlexNetError(f"--workdir is {self.root}: it cannot be made ({error.strerror})") from error
        with self.lease:
            yield

    def remove_run(self) -> None:
        """Deletes the files of a run. Files with other names stay."""
        remove_all(self.checkpoints)
        for directory in (self.outputs, self.root / "tensorboard", self.root / "wandb"):
            shutil.rmtree(directory, ignore_errors=True)
        pictures, data = (self.curves, self.filters), (self.unreadable, self.data, self.classes)
        for file in (self.metrics, self.versions, self.starts, *pictures, *data, self.config):
            file.unlink(missing_ok=True)

    def claim(self, config: TrainConfig, class_names: tuple[str, ...], data: Identity | None = None) -> None:
        """Writes the config, the names of the classes and the identity of the data.

        If the directory holds a run, ``config`` may have more epochs and may differ in the fields in ``MAY_DIFFER``.
        The data set may be in another place.

        Raises:
            UsageError: the directory holds a run with another config or other data.
        """
        if self.has_checkpoint:
            known = None if data is None else self.read_data()
            self._check_same_run(self.read_config(), config, MAY_DIFFER if known is None else MAY_DIFFER | _IN_IDENTITY)
            change = None if known is None or data is None else describe_data_change(known, data)
            if change is not None:
                raise UsageError(
                    f"{config.data.dataset}: the data changed since the run in {self.root} started: {change}; restore "
                    "it, use another --workdir, or --overwrite to delete that run"
                )
        replace_file(self.config, config_to_json(config) + "\n")
        replace_file(self.classes, "".join(f"{name}\n" for name in class_names))
        if data is not None:
            replace_file(self.data, data.to_json() + "\n")

    def data_change(self, data: Identity) -> str | None:
        """How ``data`` differs from the data of the run, in one line. None if it does not, or if they are not known.

        Raises:
            AlexNetError: the identity of the data of the run cannot be read.
        """
        known = self.read_data()
        return None if known is None else describe_data_change(known, data)

    def read_data(self) -> Identity | None:
        """The identity of the data of the run; None if it is not known, as for runs of earlier versions.

        Raises:
            AlexNetError: the file cannot be read.
        """
        try:
            return Identity.from_json(self.data.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise AlexNetError(
                f"{self.data}: cannot be read ({first_line(error)}); restore it, or remove it if the data are those "
                "that the run started with"
            ) from error

    def read_unreadable(self) -> list[str]:
        """The names of the training images that could not be read; none if they are not known."""
        try:
            lines = self.unreadable.read_text(encoding="utf-8", errors="surrogateescape").split("\n")
        except OSError:
            return []
        return [line.partition("\t")[0] for line in lines if line]

    def write_unreadable(self, reasons: dict[str, str]) -> None:
        """Lists the training images that could not be read, with the reasons."""
        lines = [f"{name}\t{reason}\n" for name, reason in sorted(reasons.items())]
        replace_file(self.unreadable, "".join(lines).encode(errors="surrogateescape"))

    def _check_same_run(self, old: TrainConfig, new: TrainConfig, may_differ: set[str]) -> None:
        parts = [
            f"{name} was {_short(before)} and is now {_short(after)}"
            for name, before, after in differences(old, new)
            if name not in may_differ
            and not (name == "epochs" and after > before)
            and not (name in _PATHS and _same_place(before, after))
        ]
        if parts:
            more = f"; and {len(parts) - _MOST_NAMED} more" if len(parts) > _MOST_NAMED else ""
            raise UsageError(
                f"{self.root} holds another run: {'; '.join(parts[:_MOST_NAMED])}{more}; use another --workdir, the "
                "same values, or --overwrite to delete that run"
            )

    def keep_metrics_until(self, step: int, warn: Callable[[str], None]) -> None:
        """Deletes the rows of later steps, which a resumed run writes again, and lines that are not rows.

        Args:
            step: the last step to keep.
            warn: called with a line of text about each line that is not a row.

        Raises:
            AlexNetError: the system cannot read the file. It is unchanged.
        """
        keep_rows_until(self.metrics, step, warn)

    def read_metrics(self) -> list[Row]:
        """The rows of metrics.jsonl, without lines that are not rows."""
        return read_rows(self.metrics)

    def append_metrics(self, row: Row) -> None:
        """Appends a row and flushes it to disk.

        Raises:
            AlexNetError: another process trains the run by now.
        """
        self.lease.check()
        append_row(self.metrics, row)

    def record_versions(self, step: int, devices: int, layout: str) -> str | None:
        """Records the versions of JAX and others, the processor and the devices of a run.

        Args:
            step: the number of steps after which the run starts or resumes.
            devices: the number of devices that it uses from there.
            layout: the name of their layout.

        Returns:
            One line about changes since the last use of the run, or None.
        """
        entries = [entry for entry in self._read_versions() if entry["from_step"] <= step]
        now = versions_in_use(devices, layout)
        change = describe_change(entries[-1], now) if entries and step > 0 else None
        if step == 0:
            entries = [{"from_step": 0} | now]
        elif change is not None or not entries:
            entries = [*entries, {"from_step": step} | now]
        replace_file(self.versions, json.dumps(entries, indent=2) + "\n")
        return change

    def record_start(self, now: float) -> None:
        """Records that a process began to work on the run. Call it before ``keep_metrics_until``.

        Args:
            now: when it began, in seconds since 1970.
        """
        starts = self.read_starts()
        starts.append(next_start(starts, self.read_metrics(), now))
        replace_file(self.starts, json.dumps([asdict(start) for start in starts], indent=2) + "\n")

    def read_starts(self) -> list[Start]:
        """The starts of the run, or none if they cannot be read: no result depends on them."""
        try:
            entries = json.loads(self.starts.read_text(encoding="utf-8"))
            return [Start(float(entry["time"]), float(entry["last_seen"])) for entry in entries]
        except (OSError, ValueError, TypeError, KeyError):
            return []

    def _read_versions(self) -> list[dict[str, Any]]:
        """The entries of versions.json, or none if it cannot be read: no result depends on it."""
        try:
            entries = json.loads(self.versions.read_text(encoding="utf-8"))
            return [entry for entry in entries if type(entry["from_step"]) is int]
        except (OSError, ValueError, TypeError, KeyError):
            return []


def _same_place(before: str | None, after: str | None) -> bool:
    return None not in (before, after) and Path(str(before)).resolve() == Path(str(after)).resolve()


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
