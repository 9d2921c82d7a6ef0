"""The record of finished shards, from which a stopped preparation resumes. It stays as a summary."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from alexnet_jax.data.pixel_sums import PixelSums
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.files import replace_file

Plan = dict[str, Any]
"""Everything that determines the bytes of a data set."""

_OLD_DEFAULTS: Plan = {"resize": "crop"}  # what journals of earlier versions do not name


@dataclass(frozen=True)
class Damaged:
    """An image that could not be read and was left out."""

    name: str
    reason: str


@dataclass
class Shard:
    """The content of one shard."""

    sums: PixelSums
    images: int = 0
    bytes: int = 0
    """The size of its records."""
    damaged: list[Damaged] = field(default_factory=list)


@dataclass
class Journal:
    """The finished shards of one plan."""

    path: Path
    plan: Plan
    images: dict[str, list[int]]
    """The number of images in each finished shard, by split."""
    bytes: dict[str, int]
    """The size of the records, by split."""
    damaged: dict[str, list[Damaged]]
    sums: PixelSums | None
    """The sums over the training images; None once the data set is complete."""

    @classmethod
    def open(cls, path: Path, plan: Plan) -> Journal:
        """Reads the journal at ``path``, or makes a new one without writing it.

        Raises:
            UsageError: the directory holds other files or the journal of another plan.
            AlexNetError: the journal is damaged.
        """
        if path.exists():
            return cls._load(path, plan)
        if any(path.parent.glob("[!.]*")):
            raise UsageError(f"{path.parent}: holds other files; use another --name or --data_dir")
        splits = plan["splits"]
        sums = PixelSums.zero(plan["image_size"])
        return cls(
            path, plan, {split: [] for split in splits}, dict.fromkeys(splits, 0), {split: [] for split in splits}, sums
        )

    @classmethod
    def _load(cls, path: Path, plan: Plan) -> Journal:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            old, images, size = _OLD_DEFAULTS | content["plan"], content["images"], content["bytes"]
            damaged = {split: [Damaged(**image) for image in part] for split, part in content["damaged"].items()}
            sums = PixelSums.from_json(content["sums"]) if "sums" in content else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AlexNetError(f"{path}: damaged; remove the directory {path.parent} and prepare it again") from error
        differing = [f"{key} was {old[key]} and is now {plan[key]}" for key in plan if old[key] != plan[key]]
        if differing:
            raise UsageError(
                f"{path.parent}: has another preparation ({'; '.join(differing)}); use another --name or --data_dir"
            )
        return cls(path, plan, images, size, damaged, sums)

    @property
    def finished(self) -> bool:
        """Whether the data set is complete."""
        return self.sums is None

    @property
    def done(self) -> int:
        """The number of images read, including damaged ones."""
        return sum(map(sum, self.images.values())) + sum(map(len, self.damaged.values()))

    def add(self, split: str, shard: Shard) -> None:
        """Adds the next finished shard of ``split``."""
        assert self.sums is not None
        self.images[split].append(shard.images)
        self.bytes[split] += shard.bytes
        self.damaged[split] += shard.damaged
        if split == "train":
            self.sums.add(shard.sums)

    def save(self) -> None:
        """Writes the journal to disk."""
        assert self.sums is not None
        self._write({"sums": self.sums.to_json()}, indent=None)

    def finish(self, **summary: Any) -> None:
        """Writes the journal for the last time, with a ``summary`` in place of the sums."""
        self.sums = None
        self._write(summary, indent=2)

    def _write(self, rest: dict[str, Any], indent: int | None) -> None:
        damaged = {split: [asdict(image) for image in part] for split, part in self.damaged.items()}
        content = {"plan": self.plan, "images": self.images, "bytes": self.bytes, "damaged": damaged, **rest}
        replace_file(self.path, json.dumps(content, indent=indent) + "\n")
