"""``alexnet convert``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from alexnet_jax.commands.parsing import parse
from alexnet_jax.training.runs.run_directory import Which


@dataclass(frozen=True)
class ConvertArguments:
    """Convert weights of PyTorch, of Caffe or of a run to safetensors."""

    source: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SOURCE")]
    """A .pth, .safetensors, .caffemodel or .onnx file, a run directory, or a name of trained weights such as
    torchvision."""
    destination: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DESTINATION")]
    """The .safetensors file to write."""
    format: Literal["alexnet_jax", "torchvision"] = "alexnet_jax"
    """This project's format, with the net's config, its preprocessing and the class names, or torchvision's: only the
    parameters, with the names and shapes of its state dict."""
    variant: str | None = None
    """The net, if the file fits more than one. The widths of its layers are taken from the file."""
    mean: Path | None = None
    """Caffe's mean image (.binaryproto). Without it, Caffe's usual channel means are subtracted."""
    checkpoint: Which = "latest"
    """The checkpoint of a run: the latest, that of a step, or the one with the smallest error on validation images, if
    the run has some."""


def main(arguments: list[str]) -> int:
    """Converts the weights, and prints the net and the file."""
    parsed = parse(ConvertArguments, arguments, "convert")
    from alexnet_jax.commands.trained import load_net
    from alexnet_jax.console.tables import describe_net
    from alexnet_jax.stores.output import check_output, output
    from alexnet_jax.stores.store import shown
    from alexnet_jax.weights.safetensors import write_weights

    check_output(parsed.destination)
    weights = load_net(parsed.source, parsed.checkpoint, parsed.variant, parsed.mean)
    with output(parsed.destination) as file:
        write_weights(weights, file, parsed.format)
    print(f"net      {describe_net(weights.config.model)}")
    print(f"written  {shown(parsed.destination)}, {parsed.format} format")
    return 0
