"""``alexnet convert``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from alexnet_jax.commands.parsing import parse


@dataclass(frozen=True)
class ConvertArguments:
    """Weights of PyTorch, of Caffe or of a run, written as safetensors."""

    source: tyro.conf.Positional[Path]
    """A .pth, .safetensors or .caffemodel file, or the folder of a run."""
    destination: tyro.conf.Positional[Path]
    """The .safetensors file to write."""
    layout: Literal["alexnet_jax", "torchvision"] = "alexnet_jax"
    """This project's, with the net's config and the preparation of pixels; or torchvision's names, parameters alone."""
    variant: str | None = None
    """Which net it is, where the file does not tell; it is taken with the file's widths."""
    mean: Path | None = None
    """Caffe's mean image (.binaryproto). Without it, Caffe's usual mean colour is subtracted."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Of a run: the last state, or that with the smallest error."""


def main(arguments: list[str]) -> int:
    """Converts, and prints what was found."""
    parsed = parse(ConvertArguments, arguments, "convert")
    from alexnet_jax.commands.trained import load_weights_of
    from alexnet_jax.console.tables import describe_net
    from alexnet_jax.weights.safetensors import write_weights

    weights = load_weights_of(parsed.source, parsed.checkpoint, parsed.variant, parsed.mean)
    write_weights(weights, parsed.destination, parsed.layout)
    print(f"net      {describe_net(weights.config.model)}")
    print(f"written  {parsed.destination}, in the layout of {parsed.layout}")
    return 0
