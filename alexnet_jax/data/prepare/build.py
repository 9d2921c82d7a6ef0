"""Writes a TFDS data set shard by shard, and its metadata last, which makes it complete.

TFDS's own writer works in one process, deletes what is unfinished and compresses every record, so that TFDS writes
the metadata only. For the same reason there is no builder class with a ``download_and_prepare``: TFDS makes a builder
of its own from the metadata, as ``tfds.builder(name, data_dir=...)``.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from alexnet_jax.data.prepare.collection import Collection, Portion
from alexnet_jax.data.prepare.journal import Journal, Shard
from alexnet_jax.data.prepare.recipe import Recipe
from alexnet_jax.data.prepare.shards import in_order, make_record, write_shard
from alexnet_jax.data.prepare.sums import STATISTICS
from alexnet_jax.errors import AlexNetError, UsageError

VERSION = "1.0.0"
JOURNAL = "preparation.json"
_AHEAD = 4  # images under way for each thread, so that none waits for a slow neighbour


def prepare(
    collection: Collection,
    recipe: Recipe,
    data_dir: Path,
    name: str,
    threads: int | None = None,
    on_image: Callable[[int, int], None] = lambda done, expected: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Journal:
    """Writes ``data_dir/name/1.0.0``, or goes on with it, on ``threads`` threads or one for each core.

    The same collection and recipe give the same bytes, whatever the threads and however often it was stopped.
    ``on_image`` is told how many images are done and how many are expected. When ``should_stop`` says so, the shard
    at hand is given up and those before it stay. Raises UsageError where the folder holds another data set,
    AlexNetError where the disk has too little space or no image of a split can be read.
    """
    if re.fullmatch(r"[a-zA-Z]\w*", name, re.ASCII) is None:
        raise UsageError(f"--name is {name!r}: use letters, digits and underscores, a letter first")
    threads = os.cpu_count() or 1 if threads is None else threads
    if threads < 1:
        raise UsageError(f"--threads is {threads}: use 1 or more")
    folder = data_dir / name / VERSION
    plan = {**asdict(recipe), "splits": list(collection.splits), "source": collection.fingerprint}
    journal = Journal.open(folder / JOURNAL, plan)
    if journal.finished:
        return journal
    _check_space(data_dir, _remaining(collection, journal), recipe)
    folder.mkdir(parents=True, exist_ok=True)
    journal.save()
    build = _Build(collection, recipe, name, journal, on_image, should_stop)
    pool = ThreadPoolExecutor(threads)
    try:
        if build.write_shards(pool, _AHEAD * threads):
            build.finish()
    finally:
        pool.shutdown(cancel_futures=True)
    return journal


def _remaining(collection: Collection, journal: Journal) -> int:
    """How many images are expected in the shards that are not finished."""
    return sum(
        portion.images
        for split, portions in collection.splits.items()
        for portion in portions[len(journal.images[split]) :]
    )


def _check_space(data_dir: Path, images: int, recipe: Recipe) -> None:
    place = next(place for place in (data_dir, *data_dir.absolute().parents) if place.exists())
    needed, free = images * recipe.bytes_per_image, shutil.disk_usage(place).free
    if needed > free:
        smaller = "" if recipe.encoding == "jpeg" else ", or use --encoding jpeg, which takes a fifth"
        raise AlexNetError(
            f"{data_dir}: about {needed / 1e9:,.1f} GB are needed and {free / 1e9:,.1f} GB are free; make room, or "
            f"name another --data_dir{smaller}"
        )


@dataclass
class _Build:
    """One preparation and what it needs."""

    collection: Collection
    recipe: Recipe
    name: str
    journal: Journal
    on_image: Callable[[int, int], None]
    should_stop: Callable[[], bool]

    def __post_init__(self) -> None:
        self.folder = self.journal.path.parent
        self.features = self.recipe.features(self.collection.class_names)

    def write_shards(self, pool: Executor, ahead: int) -> bool:
        """Writes the shards that are missing; False where it was stopped before the last."""
        for split, portions in self.collection.splits.items():
            path_of, count = self._template(split).sharded_filepath, len(portions)
            paths = [Path(path_of(shard_index=index, num_shards=count)) for index in range(count)]
            finished = len(self.journal.images[split])
            for path in paths[:finished]:
                if not path.exists():
                    raise AlexNetError(f"{path}: was finished and is gone; remove {self.folder} and prepare it again")
            for path, portion in zip(paths[finished:], portions[finished:], strict=True):
                shard = self._write_shard(path, portion, pool, ahead)
                if shard is None:
                    return False
                self.journal.add(split, shard)
                self.journal.save()
        return True

    def _write_shard(self, path: Path, portion: Portion, pool: Executor, ahead: int) -> Shard | None:
        done, expected = self.journal.done, self.journal.done + _remaining(self.collection, self.journal)

        def go_on() -> bool:
            nonlocal done
            done += 1
            self.on_image(done, expected)
            return not self.should_stop()

        work = partial(make_record, recipe=self.recipe, features=self.features)
        return write_shard(path, in_order(pool, work, portion.items(), ahead), self.recipe.image_size, go_on)

    def _template(self, split: str) -> Any:
        import tensorflow_datasets as tfds  # slow to import

        return tfds.core.ShardedFileTemplate(
            data_dir=self.folder, dataset_name=self.name, split=split, filetype_suffix="array_record"
        )

    def finish(self) -> None:
        """Writes the statistics and what TFDS wants to know."""
        import tensorflow_datasets as tfds  # slow to import

        sums, images = self.journal.sums, self.journal.images
        assert sums is not None
        for split, counts in images.items():
            if sum(counts) == 0:
                raise AlexNetError(f"{self.folder}: no image of the split {split!r} could be read; look at the source")
        if sums.count:
            sums.save_statistics(self.folder / STATISTICS)
        tfds.folder_dataset.write_metadata(
            data_dir=self.folder,
            features=self.features,
            split_infos=[
                tfds.core.SplitInfo(split, counts, self.journal.bytes[split], self._template(split))
                for split, counts in images.items()
            ],
            check_data=False,  # with TensorFlow
            description=self.collection.description,
            homepage=self.collection.homepage or "",
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )
        self.journal.finish(remarks=self.collection.remarks, statistics=sums.describe() if sums.count else None)
