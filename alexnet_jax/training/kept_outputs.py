"""The outputs of frozen layers, computed once per image and kept in files of records.

A file ``SPLIT.bin`` has a record for each image: its label and its outputs. ``SPLIT.json``, written last, has the
digest of what they were computed from and that of the file. Files that do not fit are made again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_jax.batch import KEPT, PADDING_LABEL
from alexnet_jax.config import TrainConfig
from alexnet_jax.data.identity import Identity
from alexnet_jax.data.pipeline import evaluation_batches
from alexnet_jax.data.source import DataSet, Example, Source, Wrapper
from alexnet_jax.errors import AlexNetError, UsageError, first_line
from alexnet_jax.files import replace_file
from alexnet_jax.net.summary import summarize_model
from alexnet_jax.preprocessing.augment import VIEW_COUNTS
from alexnet_jax.training.evaluation import BATCH_SIZE
from alexnet_jax.training.layouts import Layout
from alexnet_jax.training.runs.checkpoint import tree_digest
from alexnet_jax.training.steps.eval_step import kept_views
from alexnet_jax.training.steps.state import TrainState

_LABEL = "label"


@dataclass(frozen=True)
class KeptOutputs(Wrapper):
    """The examples of ``source`` with the outputs of frozen layers in place of the images."""

    source: Source
    records: np.ndarray

    def __getitem__(self, index: int) -> Example:
        record = self.records[index]
        return {KEPT: np.array(record[KEPT]), _LABEL: np.int32(record[_LABEL])}

    @property
    def example_bytes(self) -> int:
        """The bytes of the outputs."""
        return self.records.dtype[KEPT].itemsize

    def read_batch(self, indices: np.ndarray, rows: int) -> Example:
        """As in ``Source``, with outputs."""
        outputs = np.zeros((rows, *self.records.dtype[KEPT].shape), np.float32)
        labels = np.full(rows, PADDING_LABEL, np.int32)
        chosen = self.records[indices]
        outputs[: len(indices)], labels[: len(indices)] = chosen[KEPT], chosen[_LABEL]
        return {KEPT: outputs, _LABEL: labels}

    def __repr__(self) -> str:
        return f"KeptOutputs({self.source!r})"


def keep_outputs(
    data: DataSet,
    identity: Identity,
    config: TrainConfig,
    layout: Layout,
    state: TrainState,
    directory: Path,
    say: Callable[[str], None] = lambda line: None,
    on_batch: Callable[[str], None] = lambda text: None,
) -> DataSet:
    """``data`` with the outputs of ``config.kept_layer`` in place of the images. Unchanged if the run keeps none.

    Args:
        data: the data set.
        identity: what identifies its examples.
        config: the run.
        layout: computes the outputs.
        state: has the frozen layers, as ``layout`` places it.
        directory: where the files are, or are written.
        say: called with a line for the user.
        on_batch: called with the progress after each batch. It may raise an error to stop.

    Raises:
        UsageError: the disk has too little space.
        AlexNetError: the files cannot be written or read.
    """
    if config.kept_layer is None:
        return data
    sources = {"train": data.train, "test": data.test, "validation": data.validation}
    present = {split: source for split, source in sources.items() if source is not None}
    origin = _origin(layout.collect(state), identity, config)
    files = {
        split: _File(directory / f"{split}.bin", len(source), _record(config, split == "train"), origin)
        for split, source in present.items()
    }
    missing = {split: file for split, file in files.items() if not file.is_complete()}
    size = sum(file.size for file in files.values()) / 1e6
    what = (
        f"outputs of {config.kept_layer} for {sum(map(len, present.values())):,} images, {size:,.0f} MB in {directory}"
    )
    say(f"kept      {what}" + ("; each is computed once" if missing else ""))
    try:
        _check_space(directory, sum(file.size for file in missing.values()))
        for split, file in missing.items():
            file.write(_batches(present[split], split, config, layout, state, on_batch))
        kept = {split: KeptOutputs(present[split], file.read()) for split, file in files.items()}
    except OSError as error:
        raise AlexNetError(
            f"{directory}: the outputs of frozen layers cannot be kept ({first_line(error)}); free some space, use "
            "another --workdir, or --no_keep_frozen_outputs"
        ) from error
    return replace(data, train=kept["train"], test=kept["test"], validation=kept.get("validation"))


def _origin(state: TrainState, identity: Identity, config: TrainConfig) -> str:
    """The digest of all that the outputs and the labels depend on, apart from the contents of the images."""
    frozen = {name: state.params[name] for name in config.optimizer.frozen}
    recipe = (config.kept_layer, config.model, config.augment, config.dtype, config.views)
    images = (config.data.image_size, config.data.resize, identity.to_json())
    arrays = tree_digest([frozen, state.statistics])
    return hashlib.sha256(repr((arrays, recipe, images)).encode()).hexdigest()


def _record(config: TrainConfig, training: bool) -> np.dtype:
    """The type of a record."""
    views = VIEW_COUNTS[kept_views(config, training)]
    shapes = {row.name: row.shape for row in summarize_model(config.model).rows}
    return np.dtype([(_LABEL, "<i4"), (KEPT, "<f4", (views, *shapes[str(config.kept_layer)]))])


def _batches(
    source: Source,
    split: str,
    config: TrainConfig,
    layout: Layout,
    state: TrainState,
    on_batch: Callable[[str], None],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The labels and the outputs of all examples, in order. The batches do not depend on where a run resumes."""
    done = 0
    for batch in evaluation_batches(source, min(BATCH_SIZE, len(source))):
        outputs = np.asarray(layout.kept_outputs(state, batch["image"], split == "train"))
        count = min(len(outputs), len(source) - done)  # the last batch is padded
        yield batch[_LABEL][:count], outputs[:count]
        done += count
        on_batch(f"{config.kept_layer}: {done} of {len(source)} {split} images")


@dataclass(frozen=True)
class _File:
    """A file of ``count`` records of the type ``record``."""

    path: Path
    count: int
    record: np.dtype
    origin: str
    """The digest of what the records depend on."""

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * self.record.itemsize

    @property
    def _description(self) -> Path:
        return self.path.with_suffix(".json")

    def is_complete(self) -> bool:
        """Whether the file holds these records, undamaged."""
        try:
            described = json.loads(self._description.read_text(encoding="utf-8"))
            with self.path.open("rb") as file:
                return described == self._describe(hashlib.file_digest(file, "sha256").hexdigest())
        except (OSError, ValueError):
            return False

    def write(self, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Writes the labels and outputs of ``batches``."""
        self._description.unlink(missing_ok=True)
        digest = hashlib.sha256()
        with self.path.open("wb") as file:
            for labels, outputs in batches:
                records = np.empty(len(labels), self.record)
                records[_LABEL], records[KEPT] = labels, outputs
                content = records.tobytes()
                digest.update(content)
                file.write(content)
        replace_file(self._description, json.dumps(self._describe(digest.hexdigest())) + "\n")

    def read(self) -> np.ndarray:
        """The records, which the system reads from the disk when they are used."""
        return np.memmap(self.path, self.record, "r", shape=(self.count,))

    def _describe(self, sha256: str) -> dict[str, Any]:
        return {"origin": self.origin, "count": self.count, "bytes": self.record.itemsize, "sha256": sha256}


def _check_space(directory: Path, needed: int) -> None:
    directory.mkdir(exist_ok=True)
    free = shutil.disk_usage(directory).free
    if needed > free:
        raise UsageError(
            f"keep_frozen_outputs is True: the outputs need {needed / 1e9:,.1f} GB, and {directory} has "
            f"{free / 1e9:,.1f} GB; use another --workdir or --no_keep_frozen_outputs"
        )
