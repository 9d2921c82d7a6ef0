"""A trained net on its devices, as the subcommands that ask it need it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.runtime import use_virtual_devices
from alexnet_jax.training.checkpoint import Which
from alexnet_jax.training.parallel import Layout, choose_layout
from alexnet_jax.training.state import TrainState
from alexnet_jax.weights.read import read_weights
from alexnet_jax.weights.weights import Weights


@dataclass(frozen=True)
class Trained:
    """A trained net, ready to be asked."""

    config: TrainConfig
    layout: Layout
    state: TrainState
    class_names: tuple[str, ...]

    def class_name(self, label: int) -> str:
        """What people call the class ``label``."""
        return self.class_names[label] if label < len(self.class_names) else f"class {label}"

    def check_images(self, other: TrainConfig) -> None:
        """Raises UsageError where this net cannot see the images that ``other`` sees."""
        for name, ours, theirs in (
            ("data.image_size", self.config.data.image_size, other.data.image_size),
            ("model.channels", self.config.model.channels, other.model.channels),
            ("model.classes", self.config.model.classes, other.model.classes),
        ):
            if ours != theirs:
                raise UsageError(f"{name} is {theirs} in one net and {ours} in another: nets of an ensemble share it")

    def check_classes(self, names: tuple[str, ...], where: Path) -> None:
        """Raises UsageError where the data set at ``where`` has other classes, ``names``, than the net has learned."""
        if len(names) > self.config.model.classes:
            raise UsageError(f"{where}: has {len(names)} classes, and the net has {self.config.model.classes}")
        if self.class_names and names != self.class_names:
            theirs = next(name for name, ours in zip(names, self.class_names, strict=False) if name != ours)
            raise UsageError(f"{where}: has a class {theirs!r}, which is not what the net has learned at that place")


def load_weights_of(net: Path, checkpoint: Which, variant: str | None, mean: Path | None = None) -> Weights:
    """The weights in the work folder or file ``net``; what is wrong with a checkpoint is said."""
    use_virtual_devices()
    return read_weights(net, variant, mean, checkpoint, lambda line: print(line, file=sys.stderr))


def load_trained(net: Path, checkpoint: Which, variant: str | None, devices: int | None) -> Trained:
    """The net in the work folder or file ``net``, on as many devices as ``devices`` says."""
    weights = load_weights_of(net, checkpoint, variant)
    layout = choose_layout(weights.config, devices)
    return Trained(weights.config, layout, layout.place(weights.state()), weights.class_names)
