"""Measures input pipelines: images per second from disk to shuffled batches of uint8 pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from alexnet_jax.bench.own_pipelines import own_pipelines
from alexnet_jax.bench.peer_pipelines import MissingPeer, export_images, find_missing_peers, peer_pipelines
from alexnet_jax.bench.synthetic_photos import prepare_photos
from alexnet_jax.bench.throughput import Measurement, measure_alternately
from alexnet_jax.config import DataConfig
from alexnet_jax.config.checks import check
from alexnet_jax.data.dataset import open_dataset

ROUNDS = 3


@dataclass(frozen=True)
class InputPipelineReport:
    """The measurements, and the peers that are missing.

    Attributes:
        measurements: one for each pipeline, way of storing images and number of threads.
        missing: the peers whose packages are not installed.
    """

    measurements: list[Measurement]
    missing: list[MissingPeer]


def bench_input_pipelines(
    config: DataConfig | None,
    directory: Path,
    image_size: int,
    batch_size: int,
    seconds: float,
    images: int,
    pythons: dict[str, str],
    rounds: int = ROUNDS,
) -> InputPipelineReport:
    """Measures this package's input pipeline and those of the peers on the same images.

    Args:
        config: the data set, or None for synthetic photos, stored as JPEG and as raw pixels.
        directory: an empty directory for the files that are written.
        image_size: side of the images in pixels.
        batch_size: images in a batch.
        seconds: the seconds to measure each pipeline in each round.
        images: the number of synthetic photos, or of images of the data set that are exported for the peers.
        pythons: the interpreter of each library in ``DATA_PEERS``.
        rounds: the number of measurements of each pipeline.

    Raises:
        UsageError: the data set has fewer images than a batch.
        AlexNetError: the data set cannot be opened, or an interpreter cannot be run.
    """
    missing = find_missing_peers(pythons)
    if config is None:
        configs = {encoding: prepare_photos(directory, images, image_size, encoding) for encoding in ("jpeg", "raw")}
    else:
        configs = {"as stored": replace(config, image_size=image_size)}
    sources = {stored: open_dataset(stored_config, channels=3).train for stored, stored_config in configs.items()}
    for source in sources.values():
        remedy = f"use at most {len(source)}, the number of training images"
        check(batch_size <= len(source), "--batch_size", batch_size, remedy)
    export_images(next(iter(sources.values())), images, directory)
    pipelines = []
    for stored, source in sources.items():
        pipelines += own_pipelines(source, stored, batch_size, seconds)
    installed = {library: pythons[library] for library in pythons if library not in {peer.library for peer in missing}}
    pipelines += peer_pipelines(installed, directory, image_size, batch_size, seconds)
    return InputPipelineReport(measure_alternately(pipelines, rounds), missing)
