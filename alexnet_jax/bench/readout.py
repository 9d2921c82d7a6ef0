"""Measures the read-out of features, and the same read-out in PyTorch with forward hooks."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import h5py
import jax
import numpy as np
from jaxtyping import UInt8

from alexnet_jax.bench.peer_pipelines import run_peer
from alexnet_jax.bench.synthetic_photos import synthetic_photo
from alexnet_jax.bench.throughput import Measurement, Pipeline, Throughput, measure_alternately
from alexnet_jax.config import ConvConfig, DenseConfig, Layer, ModelConfig
from alexnet_jax.data.image_array import ImageArray
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.preprocessing.statistics import torchvision_statistics
from alexnet_jax.presets.imagenet import imagenet_torchvision
from alexnet_jax.readout.compute import BATCH_SIZE
from alexnet_jax.readout.layers import find_layers
from alexnet_jax.readout.run import ReadOut, read_out
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.weights.channels_first import to_channels_first
from alexnet_jax.weights.weights import Weights

OURS, PEER = "alexnet_jax", "PyTorch with hooks"
FORMS = ("NCHW", "channels_last")
"""PyTorch's memory formats."""
TOLERANCE = 1e-4
"""Largest difference of a feature from PyTorch's, as a fraction of the largest feature of the layer."""

_PROGRAM = Path(__file__).parent / "peer_programs" / "torch_features_peer.py"
_DISTINCT_PHOTOS = 64


@dataclass(frozen=True)
class ReadoutReport:
    """The speeds of the read-outs.

    Attributes:
        measurements: one for this project and one for each form of the peer.
        differences: the largest difference of each layer from PyTorch's, as a fraction of the largest feature.
        file_bytes: the size of the file of features.
    """

    measurements: list[Measurement]
    differences: dict[str, float]
    file_bytes: int

    @property
    def ratio(self) -> float | None:
        """Our images per second over those of the peer's fastest form, or None if it was not measured."""
        speeds = {
            (each.pipeline, each.stored): each.throughput.images_per_second
            for each in self.measurements
            if each.throughput is not None
        }
        theirs = [speed for (pipeline, _), speed in speeds.items() if pipeline == PEER]
        return speeds[OURS, ""] / max(theirs) if theirs and (OURS, "") in speeds else None


def bench_readout(
    model: ModelConfig, layers: Sequence[str], images: int, rounds: int, python: str | None, directory: Path
) -> ReadoutReport:
    """Reads features of synthetic photos in an HDF5 file into another HDF5 file, alternating with the peer.

    Args:
        model: the net, with initial weights.
        layers: the layers.
        images: the number of photos.
        rounds: how often each read-out runs, after a warm-up.
        python: an interpreter with torch and h5py, or None to measure only this project.
        directory: an empty directory for the files.

    Raises:
        UsageError: PyTorch has no such layer.
        AlexNetError: the peer's features are others.
    """
    weights = initial_weights(model)
    found = find_layers(layers, weights.params, model)
    size = weights.config.data.image_size
    with h5py.File(directory / "images.h5", "w") as file:
        file["images"] = photos(images, size)
    source = ImageArray(directory / "images.h5", "images", size, 3, weights.config.data.resize)
    what = ReadOut(weights, source, found)
    numbers = count()
    outs: list[Path] = []

    def own() -> Throughput:
        outs.append(directory / f"own{next(numbers)}.h5")
        start, cpu = time.perf_counter(), time.process_time()
        read_out(what, outs[-1])
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        if len(outs) > 1:
            outs.pop(0).unlink()
        return Throughput(images / seconds, images / cpu)

    pipelines = [Pipeline(OURS, "", 1, own)]
    if python is not None:
        _write_task(directory, weights, list(found.values()))
        for form in FORMS:
            command = [python, str(_PROGRAM), str(directory), form]
            pipelines.append(Pipeline(PEER, form, 1, partial(_peer, command)))
    own()  # compiles
    measurements = measure_alternately(pipelines, rounds)
    differences: dict[str, float] = {}
    if python is not None and not any(each.error for each in measurements):
        differences = _compare(outs[-1], [directory / f"torch_{form}.h5" for form in FORMS], found)
    return ReadoutReport(measurements, differences, outs[-1].stat().st_size)


def _peer(command: list[str]) -> Throughput:
    return Throughput(**json.loads(run_peer(command).splitlines()[-1]))


def initial_weights(model: ModelConfig) -> Weights:
    """The net before training, with torchvision's preprocessing."""
    statistics = torchvision_statistics(model.channels)
    recipe = imagenet_torchvision()
    config = type(recipe)(model=model, data=recipe.data, augment=recipe.augment)
    state = jax.jit(partial(create_train_state, config))(jax.random.key(0), statistics)
    return Weights(config, state.params, statistics, batch_stats=state.batch_stats)


def photos(count: int, size: int) -> UInt8[np.ndarray, "count size size 3"]:
    """Synthetic photos. All but the first 64 are copies of others, shifted sideways."""
    rng = np.random.default_rng(0)
    distinct = [synthetic_photo(rng, size) for _ in range(min(count, _DISTINCT_PHOTOS))]
    return np.stack(
        [np.roll(distinct[index % len(distinct)], 7 * (index // len(distinct)), axis=1) for index in range(count)]
    )


def _write_task(directory: Path, weights: Weights, layers: list[str]) -> None:
    """Writes the net and the work as the peer reads them."""
    model, statistics = weights.config.model, weights.statistics
    arrays: dict[str, Any] = {}
    for name, parameters in to_channels_first(weights.params, model, is_bgr=False).items():
        arrays |= {f"{name}.weight": parameters["kernel"], f"{name}.bias": parameters["bias"]}
    np.savez(directory / "weights.npz", allow_pickle=False, **{name: np.asarray(x) for name, x in arrays.items()})
    inputs = dict(_inputs(model))
    modules: list[tuple[str, str, dict[str, Any]]] = []
    for layer in model.layers():
        if layer.name == (model.dense_names[0] if model.dropout.place == "after" else "drop6"):
            modules.append(("flatten", "flatten", {}))
        kind, positional, named = _module(layer, model, inputs.get(layer.name, 0))
        modules.append((layer.name, kind, {"positional": positional, "named": named}))
    task = {
        "modules": modules,
        "layers": layers,
        "crop": model.image_size,
        "mean": np.asarray(statistics.mean).tolist(),
        "stddev": np.asarray(statistics.colour_stddev).tolist(),
        "batch_size": BATCH_SIZE,
    }
    (directory / "task.json").write_text(json.dumps(task), encoding="utf-8")


def _inputs(model: ModelConfig) -> list[tuple[str, int]]:
    """The input channels or units of each layer with parameters."""
    *_, (_, side) = model.image_sizes()
    found, before = [], model.channels
    for layer in model.layers():
        if layer.config is not None:
            is_first_dense = layer.name == model.dense_names[0]
            found.append((layer.name, before * side * side if is_first_dense else before))
            before = layer.config.features
    return found


def _module(layer: Layer, model: ModelConfig, inputs: int) -> tuple[str, list[Any], dict[str, Any]]:
    """The name of a module of ``torch.nn``, and its arguments."""
    config = layer.config
    if isinstance(config, ConvConfig) and config.shared_kernel and config.rounding == "down":
        named = {"stride": config.stride, "padding": config.padding, "groups": config.groups}
        return "Conv2d", [inputs, config.features, config.kernel_size], named
    if isinstance(config, DenseConfig) and config.groups == 1:
        return "Linear", [inputs, config.features], {}
    if layer.operation == "relu":
        return "ReLU", [], {}
    if layer.operation == "dropout":
        return "Dropout", [], {}
    if layer.operation == "max_pool":
        pool = model.max_pool
        return "MaxPool2d", [pool.size, pool.stride], {"ceil_mode": pool.rounding == "up"}
    raise UsageError(
        f"{layer.name}: PyTorch has no such module; use --variant torchvision, or no --torch_python to measure alone"
    )


def _compare(own: Path, theirs: list[Path], layers: dict[str, str]) -> dict[str, float]:
    differences: dict[str, float] = {}
    with h5py.File(own) as ours:
        for name, layer in layers.items():
            mine = ours[name][:]
            for file in theirs:
                with h5py.File(file) as opened:
                    other = opened[layer][:]
                other = other.transpose(0, 2, 3, 1) if other.ndim == 4 else other
                difference = float(np.abs(other - mine).max() / np.abs(mine).max())
                differences[name] = max(difference, differences.get(name, 0.0))
                if not difference <= TOLERANCE:
                    raise AlexNetError(
                        f"{PEER}: {name} differs from ours by {difference:.1e} of the largest feature; it computes "
                        "another net and cannot be compared"
                    )
    return differences
