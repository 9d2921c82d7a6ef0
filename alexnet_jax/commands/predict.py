"""``alexnet predict``."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from alexnet_jax.commands.parsing import parse
from alexnet_jax.errors import AlexNetError, UsageError


@dataclass(frozen=True)
class PredictArguments:
    """The five best classes for image files, with their probabilities."""

    net: tyro.conf.Positional[Path]
    """The folder of a run, or a file of weights."""
    images: tyro.conf.Positional[tuple[Path, ...]]
    """JPEG, PNG or WebP files of any size."""
    views: Literal["center", "ten-crop"] = "center"
    """The centre; or corners, centre and their reflections, probabilities averaged (paper, section 4.1)."""
    checkpoint: Literal["latest", "best"] = "latest"
    """The last state of a run, or that with the smallest error."""
    variant: str | None = None
    """Which net a file of weights is of, where its shapes do not tell."""
    devices: int | None = None
    """How many devices to use, 1 or 2."""


def main(arguments: list[str]) -> int:
    """Prints each file with its best classes; files that are no images are named, and make the status 1."""
    parsed = parse(PredictArguments, arguments, "predict")
    if not parsed.images:
        raise UsageError("no image is named: give one or more files after the net")
    from alexnet_jax.commands.trained import load_trained

    net = load_trained(parsed.net, parsed.checkpoint, parsed.variant, parsed.devices)
    from alexnet_jax.data.images import decode_image
    from alexnet_jax.training.evaluation import predict_images

    images, readable, failed = [], [], 0
    for file in parsed.images:
        try:
            images.append(decode_image(file, net.config.data.image_size, net.config.model.channels))
            readable.append(file)
        except AlexNetError as error:
            print(f"alexnet: error: {error}", file=sys.stderr)
            failed += 1
    for file, best in zip(readable, predict_images(net.state, net.layout, images, parsed.views), strict=True):
        print(file)
        for probability, label in best:
            print(f"  {probability:7.2%}  {net.class_name(label)}")
    return 1 if failed else 0
