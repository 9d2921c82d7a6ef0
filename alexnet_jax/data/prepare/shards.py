"""Writes a shard: several threads make records of images, which are written in order."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from array_record.python.array_record_module import ArrayRecordWriter

from alexnet_jax.data.images import UnreadableImageError
from alexnet_jax.data.pixel_sums import PixelSums, colour_products
from alexnet_jax.data.prepare.collection import Item
from alexnet_jax.data.prepare.journal import Damaged, Shard
from alexnet_jax.data.prepare.recipe import Recipe
from alexnet_jax.errors import AlexNetError, first_line

_OPTIONS = "group_size:1,uncompressed"  # JPEG does not compress further, and raw pixels should read fast

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Record:
    """The record of one image, and its pixels and products for the sums."""

    content: bytes
    pixels: np.ndarray
    products: np.ndarray


def make_record(item: Item, recipe: Recipe, features: Any) -> Record | Damaged:
    """Reads and encodes one image, on any thread."""
    try:
        example = item.read()
    except UnreadableImageError as error:
        return Damaged(item.name, error.reason)
    pixels = example["image"]
    content = recipe.serialize(item.name, pixels, int(example["label"]), features)
    return Record(content, pixels, colour_products(pixels))


def in_order(pool: Executor, work: Callable[[_Task], _Result], tasks: Iterable[_Task], ahead: int) -> Iterator[_Result]:
    """The results of ``work`` in the order of ``tasks``, of which at most ``ahead`` are in progress at a time."""
    pending: deque[Future[_Result]] = deque()
    for task in tasks:
        pending.append(pool.submit(work, task))
        if len(pending) == ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def write_shard(
    path: Path, results: Iterable[Record | Damaged], image_size: int, on_image: Callable[[], bool]
) -> Shard | None:
    """Writes a shard atomically.

    Args:
        path: the file.
        results: its records, and the damaged images that are left out.
        image_size: side of the images in pixels.
        on_image: called after each image. If it returns False, the shard is dropped.

    Returns:
        The content of the shard, or None if it was dropped.

    Raises:
        AlexNetError: the file cannot be written.
    """
    shard, draft = Shard(PixelSums.zero(image_size)), path.with_name(f".{path.name}")
    try:
        with contextlib.closing(ArrayRecordWriter(str(draft), _OPTIONS)) as writer:
            for result in results:
                if isinstance(result, Damaged):
                    shard.damaged.append(result)
                else:
                    writer.write(result.content)
                    shard.images += 1
                    shard.bytes += len(result.content)
                    shard.sums.add_image(result.pixels, result.products)
                if not on_image():
                    return None
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    except RuntimeError as error:  # of array_record, for example if the disk is full
        raise AlexNetError(
            f"{path}: cannot be written ({first_line(error)}); make room, then the same command resumes"
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return shard
