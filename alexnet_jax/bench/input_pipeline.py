"""How fast images come from disk to batches of pixels: this package's feed, and others' on the same images."""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import grain
import numpy as np
from jaxtyping import UInt8
from PIL import Image

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.pipeline import THREADS, training_batches
from alexnet_jax.data.prepare.build import prepare
from alexnet_jax.data.prepare.collection import Collection, Item, Portion
from alexnet_jax.data.prepare.recipe import Encoding, Recipe
from alexnet_jax.data.source import DataSet, Source
from alexnet_jax.data.tfds_source import TfdsSource
from alexnet_jax.errors import first_line

PEERS = Path(__file__).parent / "peer_programs"
"""The scripts that measure others, in a clone of this project."""
ROUNDS = 3
_CLASSES = 10
_ORIGINALS = 64


@dataclass(frozen=True)
class Rate:
    """Of one run."""

    images_per_second: float
    images_per_cpu_second: float
    """Images over the seconds that all cores together spent on them, which other programs hardly change."""


@dataclass(frozen=True)
class Row:
    """One pipeline on one set: medians over the rounds, or why there are none."""

    pipeline: str
    stored: str
    threads: int
    rate: Rate | None
    remark: str = ""


@dataclass(frozen=True)
class Pipeline:
    """What is measured: ``run`` gives a rate, or says in a few words why it cannot."""

    name: str
    stored: str
    threads: int
    run: Callable[[], Rate | str]


def measure(pipelines: list[Pipeline], rounds: int = ROUNDS) -> list[Row]:
    """Runs all of them in turn, ``rounds`` times, so that what else the machine does meets them alike."""
    results = [[pipeline.run() for pipeline in pipelines] for _ in range(rounds)]
    return [_row(pipeline, list(runs)) for pipeline, runs in zip(pipelines, zip(*results, strict=True), strict=True)]


def _row(pipeline: Pipeline, runs: list[Rate | str]) -> Row:
    rates = [run for run in runs if isinstance(run, Rate)]
    if not rates:
        return Row(pipeline.name, pipeline.stored, pipeline.threads, None, str(runs[0]))
    wall = statistics.median(rate.images_per_second for rate in rates)
    cpu = statistics.median(rate.images_per_cpu_second for rate in rates)
    return Row(pipeline.name, pipeline.stored, pipeline.threads, Rate(wall, cpu))


def own_pipelines(config: DataConfig, stored: str, batch_size: int, seconds: float) -> list[Pipeline]:
    """The feed of this package, of the training set that ``config`` names, on one thread and on one for each core.

    Beside it, where TFDS has the set, TFDS's reading and decoding with Grain's batching, as they come.
    """
    source = open_dataset(config, channels=3).train
    feeds: dict[str, Callable[[int], Iterator[Any]]] = {
        "alexnet_jax": lambda threads: training_batches(source, batch_size, seed=0, threads=threads)
    }
    if isinstance(source, TfdsSource):
        feeds["TFDS and Grain"] = lambda threads: _tfds_batches(source, batch_size, threads)
    return [
        Pipeline(name, stored, threads, partial(_time, partial(feed, threads), threads, seconds))
        for name, feed in feeds.items()
        for threads in sorted({1, THREADS})
    ]


def _tfds_batches(source: TfdsSource, batch_size: int, threads: int) -> Iterator[Any]:
    import tensorflow_datasets as tfds  # slow to import

    records = tfds.builder_from_directory(source.where).as_data_source(source.split)
    batches = grain.MapDataset.source(records).seed(0).shuffle().batch(batch_size, drop_remainder=True).repeat()
    return iter(batches.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * threads)))


def _time(feed: Callable[[], Iterator[Any]], threads: int, seconds: float) -> Rate:
    """The rate once the buffers are full: those of ``training_batches`` hold two batches for each thread."""
    batches, images = feed(), 0
    for _ in range(2 * threads + 1):
        next(batches)
    began, cpu = time.perf_counter(), _cpu_seconds()
    while time.perf_counter() < began + seconds:
        images += len(next(batches)["label"])
    return Rate(images / (time.perf_counter() - began), images / (_cpu_seconds() - cpu))


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


# Others


def peer_pipelines(
    folder: Path, image_size: int, batch_size: int, seconds: float, pythons: dict[str, str]
) -> list[Pipeline]:
    """tf.data and PyTorch's DataLoader on what ``export`` wrote to ``folder``.

    ``pythons`` has the interpreters that have ``tensorflow``, and ``torch`` with torchvision.
    """
    scripts = {"tensorflow": ("tf.data", "tf_data_peer.py"), "torch": ("torch DataLoader", "torch_data_peer.py")}
    options = [f"--image_size={image_size}", f"--batch_size={batch_size}", f"--seconds={seconds}"]
    return [
        Pipeline(name, stored, threads, partial(_run_peer, command))
        for library, (name, script) in scripts.items()
        for stored in ("jpeg", "raw")
        for threads in sorted({1, THREADS})
        for command in [[pythons[library], str(PEERS / script), str(folder), stored, f"--threads={threads}", *options]]
    ]


def _run_peer(command: list[str]) -> Rate | str:
    if not Path(command[1]).exists():
        return "its script is in a clone of this project only"
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return first_line(error)
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return Rate(**json.loads(done.stdout.splitlines()[-1]))


def export(source: Source, images: int, folder: Path) -> None:
    """Writes the first ``images`` of ``source`` for others: class folders in ``jpeg``, and pixels in ``images.raw``.

    The JPEG files are of quality 95, as `alexnet prepare` makes them. Labels of the pixels are in ``labels.raw``,
    int32.
    """
    labels = []
    with (folder / "images.raw").open("wb") as raw:
        for index in range(min(images, len(source))):
            example = source[index]
            raw.write(example["image"].tobytes())
            labels.append(example["label"])
            file = folder / "jpeg" / f"{example['label']:04}" / f"{index:06}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(example["image"]).save(file, quality=95)
    np.array(labels, np.int32).tofile(folder / "labels.raw")


# Synthetic photos


def prepare_photos(folder: Path, images: int, image_size: int, encoding: Encoding) -> DataConfig:
    """Prepares ``images`` synthetic photos in ``folder``, a tenth of them to test on."""
    rng = np.random.default_rng(0)
    originals = [synthetic_photo(rng, image_size) for _ in range(min(images, _ORIGINALS))]

    def read(index: int) -> dict[str, Any]:
        turn, original = divmod(index, len(originals))
        return {"image": np.roll(originals[original], 7 * turn, axis=1), "label": index % _CLASSES}

    def portion(count: int) -> Portion:
        return Portion(count, lambda: [Item(f"{index}.jpg", partial(read, index)) for index in range(count)])

    counts = {"train": images, "test": max(1, images // 10)}
    splits: dict[str, tuple[Portion, ...]] = {split: (portion(count),) for split, count in counts.items()}
    names = tuple(f"class{label}" for label in range(_CLASSES))
    collection = Collection(names, splits, fingerprint=f"photos {images}", description="Synthetic photos.")
    prepare(collection, Recipe(image_size, encoding), folder, f"photos_{encoding}")
    return DataConfig(dataset=f"photos_{encoding}", data_dir=str(folder), image_size=image_size)


def synthetic_photo(rng: np.random.Generator, size: int) -> UInt8[np.ndarray, "size size 3"]:
    """Noise of every scale, the coarse the stronger.

    At 256 pixels and quality 95 of JPEG it comes to 0.55 bytes a pixel, as photos do.
    """
    pixels, side = np.full((size, size, 3), 128.0), 2
    while side <= size:
        grid = Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))
        noise = np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC), np.float64) - 128
        pixels += noise / side**0.45 if side < size else noise / 15
        side *= 2
    return np.clip(pixels, 0, 255).astype(np.uint8)


def measure_feed(
    config: DataConfig | None,
    folder: Path,
    image_size: int,
    batch_size: int,
    seconds: float,
    images: int,
    pythons: dict[str, str],
    rounds: int = ROUNDS,
) -> list[Row]:
    """All pipelines on the set that ``config`` names, or on synthetic photos; ``folder`` takes what is written."""
    if config is None:
        sets = {kind: prepare_photos(folder, images, image_size, kind) for kind in ("jpeg", "raw")}
    else:
        sets = {"as it is": replace(config, image_size=image_size)}
    data: DataSet = open_dataset(next(iter(sets.values())), channels=3)
    export(data.train, images, folder)
    own = [row for stored, kept in sets.items() for row in own_pipelines(kept, stored, batch_size, seconds)]
    return measure(own + peer_pipelines(folder, image_size, batch_size, seconds, pythons), rounds)
