"""Reads the features of a data set into a file, and resumes where an earlier process stopped."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from alexnet_jax.data.image_array import open_hdf5
from alexnet_jax.data.source import Part, Source
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.readout.compute import BATCH_SIZE, feature_batches, layer_shapes
from alexnet_jax.readout.draft import Draft, Facts, describe_difference
from alexnet_jax.readout.feature_file import check_format, finish, order_file, read_facts, write_order
from alexnet_jax.readout.reduction import (
    PCA_IMAGES,
    Components,
    Reduce,
    Reduction,
    check_components,
    principal_components,
    random_projection,
)
from alexnet_jax.signals import StoppedError
from alexnet_jax.training.runs.checkpoint import tree_digest
from alexnet_jax.weights.weights import Weights


@dataclass(frozen=True)
class Progress:
    """Callbacks of a read-out.

    Attributes:
        advance: called with the images that are done and their number.
        check_stop: raises ``StoppedError`` to stop between two batches.
        say: called with a line when another part of the work begins.
    """

    advance: Callable[[int, int], None] = lambda done, count: None
    check_stop: Callable[[], None] = lambda: None
    say: Callable[[str], None] = lambda line: None


@dataclass(frozen=True)
class ReadOut:
    """What to read.

    Attributes:
        weights: the net.
        source: the images.
        layers: this project's name of each layer, by the name of its array.
        reduction: how the features are reduced.
        untrained: the seed of the initial weights that replaced the net's own, or None.
    """

    weights: Weights
    source: Source
    layers: dict[str, str]
    reduction: Reduction = field(default_factory=Reduction)
    untrained: int | None = None

    def names(self) -> list[str]:
        """The name of the image of each row."""
        return [self.source.name(index) for index in range(len(self.source))]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of one image's features in each array, before PCA or random projection."""
        shapes = layer_shapes(self.weights, tuple(dict.fromkeys(self.layers.values())), self.reduction.spatial_mean)
        return {name: shapes[layer] for name, layer in self.layers.items()}

    def facts(self) -> Facts:
        """What identifies the features."""
        order = hashlib.sha256("\n".join(self.names()).encode(errors="surrogateescape")).hexdigest()
        return net_facts(self.weights) | {
            "untrained": self.untrained,
            "layers": self.layers,
            "reduction": asdict(self.reduction),
            "images": self.source.content(),
            "order": order,
            "batch_size": BATCH_SIZE,
        }


def net_facts(weights: Weights) -> Facts:
    """What identifies a net and its preprocessing in the facts of a read-out."""
    return {
        "net": tree_digest([weights.params, weights.batch_stats, weights.statistics]),
        "config": hashlib.sha256(repr((weights.config.model, weights.config.augment)).encode()).hexdigest(),
        "image_size": weights.config.data.image_size,
        "resize": weights.config.data.resize,
    }


@dataclass(frozen=True)
class Result:
    """A finished read-out.

    Attributes:
        shapes: the shape of each array of the file.
        resumed: the rows that an earlier process had finished; all of them if there was nothing to do.
        explained: the fraction of the variance that the components of each layer explain.
    """

    shapes: dict[str, tuple[int, ...]]
    resumed: int
    explained: dict[str, float]


def read_out(what: ReadOut, out: Path, progress: Progress = Progress()) -> Result:
    """Writes the features of all images to a file, and their names to an order file beside it.

    A killed read-out leaves ``OUT.part``, from which the same call resumes. The result is the same, bit for bit, with
    the same versions, processor and number of threads.

    Args:
        what: the net, the images and the layers.
        out: an HDF5, .npz or .mat file.
        progress: callbacks.

    Raises:
        UsageError: ``out`` holds something else, or the features are too large for its format.
        AlexNetError: an image cannot be read, or the file cannot be written.
        StoppedError: ``progress.check_stop`` raised it. All finished batches are kept.
    """
    shapes, count = what.shapes(), len(what.source)
    reduced = {name: what.reduction.shape(shape) for name, shape in shapes.items()}
    check_format(out, reduced, count)
    check_components(what.reduction, shapes, count)
    facts = what.facts()
    full = {name: (count, *shape) for name, shape in reduced.items()}
    if _is_complete(out, facts):
        return Result(full, count, {})
    with Draft(out, reduced, count, facts) as draft:
        write_order(out, what.names())
        reductions = _reductions(what, out, facts, progress)
        resumed = draft.done
        _fill(draft, what, reductions, what.source, progress)
        finish(draft, out, list(reduced), facts)
    explained = {name: each.explained for name, each in reductions.items() if isinstance(each, Components)}
    return Result(full, resumed, explained)


def _is_complete(out: Path, facts: Facts) -> bool:
    if not out.exists():
        return False
    found = read_facts(out)
    if not found:
        raise UsageError(f"{out}: already exists and is not a read-out; remove it, or name another file")
    if found != facts:
        raise UsageError(
            f"{out}: already exists and holds a read-out with other {describe_difference(found, facts)}; remove it, or "
            "name another file"
        )
    if not order_file(out).exists():
        raise AlexNetError(f"{order_file(out)}: is missing; remove {out.name} to read the features again")
    return True


def _fill(draft: Draft, what: ReadOut, reductions: Mapping[str, Reduce], source: Source, progress: Progress) -> None:
    """Reads the rows that ``draft`` does not have yet."""
    start, count = draft.done, len(source)
    if start == count:
        return
    layers = tuple(dict.fromkeys(what.layers.values()))
    batches = feature_batches(what.weights, source, layers, what.reduction.spatial_mean, start)
    for features in batches:
        rows = {name: reductions.get(name, np.asarray)(features[layer]) for name, layer in what.layers.items()}
        draft.write(rows)
        start += len(next(iter(rows.values())))
        progress.advance(start, count)
        if start < count:
            try:
                progress.check_stop()
            except StoppedError:
                draft.commit()
                raise


def _reductions(what: ReadOut, out: Path, facts: Facts, progress: Progress) -> dict[str, Reduce]:
    """The reduction of each array that is reduced."""
    reduction, shapes = what.reduction, what.shapes()
    names = reduction.reduced(shapes)
    if not names:
        return {}
    if reduction.random_projection is not None:
        size, seed = reduction.random_projection, reduction.seed
        return {name: random_projection(what.layers[name], shapes[name], size, seed) for name in names}
    return dict(_components(what, names, out, facts, progress))


def components_file(out: Path) -> Path:
    """The file beside ``out`` with the principal components of each layer."""
    return out.with_name(f"{out.name}.pca.h5")


def _components(what: ReadOut, names: list[str], out: Path, facts: Facts, progress: Progress) -> dict[str, Components]:
    """The components of a sample of the images, from ``components_file`` if they are there."""
    file = components_file(out)
    if file.exists() and read_facts(file) == facts:
        return _load_components(file, names)
    count, shapes = len(what.source), what.shapes()
    indices = np.unique(np.linspace(0, count - 1, min(count, PCA_IMAGES)).round().astype(int))
    sample = Part(what.source, indices)
    progress.say(f"reading {len(sample):,} images for the components")
    with Draft(file, {name: shapes[name] for name in names}, len(sample), facts) as draft:
        part = ReadOut(what.weights, sample, {name: what.layers[name] for name in names}, what.reduction)
        _fill(draft, part, {}, sample, progress)
        draft.commit()
        progress.say("computing the components")
        assert what.reduction.pca is not None
        found = {name: principal_components(draft.dataset(name), what.reduction.pca) for name in names}
        _save_components(file, found, facts)
        draft.discard()
    return found


def _save_components(file: Path, found: Mapping[str, Components], facts: Facts) -> None:
    temporary = file.with_name(f".{file.name}.new")
    try:
        with h5py.File(temporary, "w") as opened:
            opened.attrs["readout"] = json.dumps(facts)
            for name, each in found.items():
                group = opened.create_group(name)
                group.attrs["explained"] = each.explained
                for part in ("mean", "components", "variance"):
                    group.create_dataset(part, data=getattr(each, part))
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _load_components(file: Path, names: Iterable[str]) -> dict[str, Components]:
    opened: Any = open_hdf5(file)
    with opened:
        return {
            name: Components(
                mean=np.asarray(opened[name]["mean"]),
                components=np.asarray(opened[name]["components"]),
                variance=np.asarray(opened[name]["variance"]),
                explained=float(opened[name].attrs["explained"]),
            )
            for name in names
        }
