"""What is known of the shards that are finished: a stopped preparation goes on from it, and it stays as a summary."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from alexnet_jax.data.prepare.sums import PixelSums
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.files import replace_file

Plan = dict[str, Any]
"""What the bytes of a data set follow from."""


@dataclass(frozen=True)
class Damaged:
    """An image that could not be read, and is left out."""

    name: str
    reason: str


@dataclass
class Shard:
    """What one shard holds."""

    sums: PixelSums
    images: int = 0
    bytes: int = 0
    """Of its records."""
    damaged: list[Damaged] = field(default_factory=list)


@dataclass
class Journal:
    """The finished shards of one plan."""

    path: Path
    plan: Plan
    images: dict[str, list[int]]
    """By split, how many each finished shard holds."""
    bytes: dict[str, int]
    """By split, of the records."""
    damaged: dict[str, list[Damaged]]
    sums: PixelSums | None
    """Of the training images; None once the whole data set is there."""

    @classmethod
    def open(cls, path: Path, plan: Plan) -> Journal:
        """The journal at ``path``, or a new one, which is not written yet.

        Raises UsageError where the folder holds something else than the beginning of ``plan``, AlexNetError where
        the journal cannot be read.
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
            content = json.loads(path.read_text())
            there, images, size = content["plan"], content["images"], content["bytes"]
            damaged = {split: [Damaged(**image) for image in part] for split, part in content["damaged"].items()}
            sums = PixelSums.from_json(content["sums"]) if "sums" in content else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AlexNetError(f"{path}: damaged; remove the folder {path.parent} and prepare it again") from error
        differing = [f"{key} is {there[key]} there and {plan[key]} here" for key in plan if there[key] != plan[key]]
        if differing:
            raise UsageError(
                f"{path.parent}: was prepared otherwise ({'; '.join(differing)}); use another --name or --data_dir"
            )
        return cls(path, plan, images, size, damaged, sums)

    @property
    def finished(self) -> bool:
        """Whether the whole data set is there."""
        return self.sums is None

    @property
    def done(self) -> int:
        """How many images have been read, damaged ones too."""
        return sum(map(sum, self.images.values())) + sum(map(len, self.damaged.values()))

    def add(self, split: str, shard: Shard) -> None:
        """The next shard of ``split`` is finished."""
        assert self.sums is not None
        self.images[split].append(shard.images)
        self.bytes[split] += shard.bytes
        self.damaged[split] += shard.damaged
        if split == "train":
            self.sums.add(shard.sums)

    def save(self) -> None:
        """Writes it, on disk when this returns."""
        assert self.sums is not None
        self._write({"sums": self.sums.to_json()}, indent=None)

    def finish(self, **summary: Any) -> None:
        """Writes it for the last time, for people to read, with a ``summary`` in place of the sums."""
        self.sums = None
        self._write(summary, indent=2)

    def _write(self, rest: dict[str, Any], indent: int | None) -> None:
        damaged = {split: [asdict(image) for image in part] for split, part in self.damaged.items()}
        content = {"plan": self.plan, "images": self.images, "bytes": self.bytes, "damaged": damaged, **rest}
        replace_file(self.path, json.dumps(content, indent=indent) + "\n")
