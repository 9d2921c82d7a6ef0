"""The object ``index.json`` of a run on an object store: its complete checkpoints, with the digests of their files.

A checkpoint is complete when the index lists it. The index is written last, so that an upload that breaks off leaves
the checkpoints before it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

from alexnet_jax.errors import AlexNetError
from alexnet_jax.stores.store import Store

NAME = "index.json"

Digests = dict[str, str]
"""The SHA-256 of the files of a checkpoint, by their names in its directory."""


@dataclass(frozen=True)
class Index:
    """The checkpoints of a run on an object store.

    Attributes:
        writer: differs for each process that has trained the run. Empty for a run that was copied there by hand.
        checkpoints: the complete checkpoints, by their steps. Those of a run that was copied by hand have no digests.
    """

    writer: str = ""
    checkpoints: dict[int, Digests] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The index as JSON."""
        checkpoints = {str(step): self.checkpoints[step] for step in sorted(self.checkpoints)}
        return json.dumps({"writer": self.writer, "checkpoints": checkpoints}, indent=1).encode() + b"\n"

    def without(self, steps: Collection[int]) -> Index:
        """The index of the checkpoints of other steps."""
        return replace(self, checkpoints={step: each for step, each in self.checkpoints.items() if step not in steps})


def read_index(store: Store) -> Index | None:
    """The index of the run in ``store``; None if it has neither an index nor checkpoints.

    Raises:
        AlexNetError: the index is damaged, or the store cannot be read.
    """
    content = store.read(NAME)
    if content is None:
        steps = {int(step) for name in store.list("checkpoints") if (step := step_of(name)) is not None}
        return Index(checkpoints={step: {} for step in steps}) if steps else None
    try:
        value = json.loads(content)
        checkpoints = {int(step): dict(digests) for step, digests in value["checkpoints"].items()}
        return Index(str(value["writer"]), checkpoints)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AlexNetError(f"{store.url}/{NAME}: damaged; delete it, and all checkpoints there are used") from error


def step_of(name: str) -> int | None:
    """The step of the checkpoint to which an object of a run belongs, or None."""
    folder, _, rest = name.partition("/")
    step, is_file, _ = rest.partition("/")
    return int(step) if folder == "checkpoints" and step.isdecimal() and is_file else None


def digests_of(checkpoint: Path) -> Digests:
    """The digests of the files in a directory."""
    files = {file.relative_to(checkpoint).as_posix(): file for file in checkpoint.rglob("*") if file.is_file()}
    return {name: _digest(files[name]) for name in sorted(files)}


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
