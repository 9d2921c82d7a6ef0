"""A trained net on its devices, for the commands that use one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from alexnet_jax.config import TrainConfig
from alexnet_jax.data.source import Source
from alexnet_jax.errors import NotFiniteError, UsageError
from alexnet_jax.runtime import tune_cpu, use_virtual_devices
from alexnet_jax.stores.store import shown
from alexnet_jax.training.layouts import Layout, choose_layout
from alexnet_jax.training.runs.run_directory import Which
from alexnet_jax.training.steps.state import TrainState
from alexnet_jax.weights.read import read_weights
from alexnet_jax.weights.weights import Weights

_MOST_NAMED = 5


@dataclass(frozen=True)
class Trained:
    """A trained net on its devices."""

    config: TrainConfig
    layout: Layout
    state: TrainState
    class_names: tuple[str, ...]

    def class_name(self, label: int) -> str:
        """The name of the class ``label``, or its number if the name is not known."""
        return self.class_names[label] if label < len(self.class_names) else f"class {label}"

    def check_images(self, other: TrainConfig) -> None:
        """Checks that this net can be averaged with the net of ``other``.

        Raises:
            UsageError: the nets read different images, or have different classes.
        """
        for name, ours, theirs in (
            ("data.image_size", self.config.data.image_size, other.data.image_size),
            ("data.resize", self.config.data.resize, other.data.resize),
            ("model.channels", self.config.model.channels, other.model.channels),
            ("model.classes", self.config.model.classes, other.model.classes),
        ):
            if ours != theirs:
                raise UsageError(f"{name} is {theirs} in one net and {ours} in another: use nets with the same {name}")

    def labels_of(self, names: tuple[str, ...], dataset: Path) -> tuple[int, ...]:
        """This net's label for each class of a data set, which can have some of the net's classes, in any order.

        Classes whose names the net does not know keep their labels.

        Args:
            names: the names of the classes of the data set.
            dataset: the data set, for errors.

        Raises:
            UsageError: the data set has a class that the net does not have.
        """
        if not self.class_names:
            if len(names) > self.config.model.classes:
                raise UsageError(f"{dataset}: has {len(names)} classes, and the net has {self.config.model.classes}")
            return tuple(range(len(names)))
        unknown = [name for name in names if name not in self.class_names]
        if unknown:
            known = ", ".join(self.class_names[:_MOST_NAMED]) + (", ..." if len(self.class_names) > _MOST_NAMED else "")
            raise UsageError(f"{dataset}: has a class {unknown[0]!r}, but the net learned {known}; remove it")
        return tuple(self.class_names.index(name) for name in names)


@contextlib.contextmanager
def naming(*nets: Path) -> Iterator[None]:
    """A context that adds the names of ``nets`` to an error about their outputs."""
    try:
        yield
    except NotFiniteError as error:
        raise NotFiniteError(f"{' '.join(map(shown, nets))}: {error}") from error


def load_net(
    net: Path, checkpoint: Which, variant: str | None, mean: Path | None = None, devices: int | None = None
) -> Weights:
    """The net in a run directory or a file. Prints a warning for a damaged checkpoint.

    A CPU becomes ``devices`` devices, by default one: a net without training runs faster on one.
    """
    tune_cpu()
    use_virtual_devices(devices or 1)
    return read_weights(net, variant, mean, checkpoint, lambda line: print(line, file=sys.stderr))


def open_images_for(weights: Weights, data: str, split: str | None, default_split: str, data_dir: str | None) -> Source:
    """The images that ``data`` names, at the size that the net stores. Other arguments as for ``open_images``."""
    from alexnet_jax.data.open_images import open_images

    config = weights.config
    own = config.data if data_dir is None else replace(config.data, data_dir=data_dir)
    return open_images(data, own, config.model.channels, split, default_split)


def load_trained(net: Path, checkpoint: Which, variant: str | None, devices: int | None) -> Trained:
    """The net in a run directory or a file, on ``devices`` devices."""
    weights = load_net(net, checkpoint, variant, devices=devices)
    weights.check_complete(shown(net))
    layout = choose_layout(weights.config, devices)
    return Trained(weights.config, layout, layout.place(weights.state()), weights.class_names)
