"""Writes a TFDS data set shard by shard, and its metadata last.

TFDS's own writer cannot resume and compresses every record, so TFDS writes only the metadata.
``tfds.builder(name, data_dir=...)`` then opens the data set.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from alexnet_jax.data.pixel_sums import STATISTICS
from alexnet_jax.data.prepare.collection import Collection, Portion
from alexnet_jax.data.prepare.journal import Journal, Shard
from alexnet_jax.data.prepare.recipe import Recipe
from alexnet_jax.data.prepare.shards import in_order, make_record, write_shard
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.resources import usable_cpus
from alexnet_jax.transfers import only_process_or_refuse

VERSION = "1.0.0"
JOURNAL = "preparation.json"
_AHEAD = 4  # images in progress per thread, so that a slow one does not hold up the others


def prepare(
    collection: Collection,
    recipe: Recipe,
    data_dir: Path,
    name: str,
    threads: int | None = None,
    on_image: Callable[[int, int], None] = lambda done, expected: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Journal:
    """Writes ``data_dir/name/1.0.0``, or resumes writing it.

    The same collection and recipe produce the same bytes, with any number of threads and after any number of stops.

    Args:
        collection: the images.
        recipe: how to store them.
        data_dir: the directory of data sets.
        name: the name of the data set.
        threads: threads that read and encode images; None for one per usable CPU.
        on_image: called after each image with the number of images done and expected.
        should_stop: called after each image. If it returns True, the current shard is dropped and finished ones
            are kept.

    Raises:
        UsageError: the directory holds another data set, another process writes it, or a value is out of range.
        AlexNetError: there is too little space, or no image of a split can be read.
    """
    if re.fullmatch(r"[a-zA-Z]\w*", name, re.ASCII) is None:
        raise UsageError(f"--name is {name!r}: use letters, digits and underscores, a letter first")
    threads = usable_cpus() if threads is None else threads
    if threads < 1:
        raise UsageError(f"--threads is {threads}: use 1 or more")
    folder = data_dir / name / VERSION
    plan = {**asdict(recipe), "splits": list(collection.splits), "source": collection.fingerprint}
    journal = Journal.open(folder / JOURNAL, plan)
    if journal.finished:
        return journal
    _check_space(data_dir, _remaining(collection, journal), recipe)
    folder.mkdir(parents=True, exist_ok=True)
    refusal = f"{folder}: another process is preparing this data set; wait for its end, or stop it"
    with only_process_or_refuse(folder.with_name(f".{folder.name}.lock"), refusal):
        journal = Journal.open(folder / JOURNAL, plan)  # another process may have finished more shards
        if not journal.finished:
            journal.save()
            _write(_Build(collection, recipe, name, journal, on_image, should_stop), threads)
    return journal


def _write(build: _Build, threads: int) -> None:
    pool = ThreadPoolExecutor(threads)
    try:
        if build.write_shards(pool, _AHEAD * threads):
            build.finish()
    finally:
        pool.shutdown(cancel_futures=True)


def _remaining(collection: Collection, journal: Journal) -> int:
    """The expected number of images in the shards that are not finished."""
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
    """A preparation in progress."""

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
        """Writes the missing shards. Returns False if ``should_stop`` stopped it."""
        for split, portions in self.collection.splits.items():
            path_of, count = self._template(split).sharded_filepath, len(portions)
            paths = [Path(path_of(shard_index=index, num_shards=count)) for index in range(count)]
            finished = len(self.journal.images[split])
            for path in paths[:finished]:
                if not path.exists():
                    raise AlexNetError(
                        f"{path}: this finished shard is missing; remove {self.folder} and prepare it again"
                    )
            for path, portion in zip(paths[finished:], portions[finished:], strict=True):
                shard = self._write_shard(path, portion, pool, ahead)
                if shard is None:
                    return False
                self.journal.add(split, shard)
                self.journal.save()
        return True

    def _write_shard(self, path: Path, portion: Portion, pool: Executor, ahead: int) -> Shard | None:
        done, expected = self.journal.done, self.journal.done + _remaining(self.collection, self.journal)

        def on_image() -> bool:
            nonlocal done
            done += 1
            self.on_image(done, expected)
            return not self.should_stop()

        work = partial(make_record, recipe=self.recipe, features=self.features)
        return write_shard(path, in_order(pool, work, portion.items(), ahead), self.recipe.image_size, on_image)

    def _template(self, split: str) -> Any:
        import tensorflow_datasets as tfds  # slow to import

        return tfds.core.ShardedFileTemplate(
            data_dir=self.folder, dataset_name=self.name, split=split, filetype_suffix="array_record"
        )

    def finish(self) -> None:
        """Writes the statistics and TFDS's metadata."""
        import tensorflow_datasets as tfds  # slow to import

        sums, images = self.journal.sums, self.journal.images
        assert sums is not None
        for split, counts in images.items():
            if sum(counts) == 0:
                raise AlexNetError(f"{self.folder}: no image of the split {split!r} could be read; check the source")
        if sums.count:
            sums.save_statistics(self.folder / STATISTICS)
        tfds.folder_dataset.write_metadata(
            data_dir=self.folder,
            features=self.features,
            split_infos=[
                tfds.core.SplitInfo(split, counts, self.journal.bytes[split], self._template(split))
                for split, counts in images.items()
            ],
            check_data=False,  # needs TensorFlow
            description=self.collection.description,
            homepage=self.collection.homepage or "",
            supervised_keys=("image", "label"),
            disable_shuffling=True,
        )
        self.journal.finish(remarks=self.collection.remarks, statistics=sums.describe() if sums.count else None)
