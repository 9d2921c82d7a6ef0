"""``alexnet export``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from alexnet_jax.commands.parsing import parse
from alexnet_jax.errors import UsageError
from alexnet_jax.stores.output import check_output, output
from alexnet_jax.stores.store import shown
from alexnet_jax.training.runs.run_directory import Which

_SUFFIXES = (".onnx", ".stablehlo")


@dataclass(frozen=True)
class ExportArguments:
    """Export a trained net for other programs, as ONNX or StableHLO.

    The exported net reads stored uint8 images, for any batch size.

    It crops and normalises them, and returns logits.
    """

    net: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="NET")]
    """A run directory, a file of weights, or a name of trained weights such as torchvision."""
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """The file to write. The suffix chooses the format: .onnx for ONNX Runtime and others, .stablehlo for
    `jax.export.deserialize` on CPU, CUDA and TPU."""
    checkpoint: Which = "latest"
    """The checkpoint of a run: the latest, that of a step, or the one with the smallest error on validation images, if
    the run has some."""
    variant: str | None = None
    """The net, if a file of weights fits more than one."""


def main(arguments: list[str]) -> int:
    """Exports the net, and prints its inputs and outputs."""
    parsed = parse(ExportArguments, arguments, "export")
    if parsed.out.suffix not in _SUFFIXES:
        raise UsageError(f"{parsed.out}: unknown format; name a file ending in {' or '.join(_SUFFIXES)}")
    if parsed.out.exists():
        raise UsageError(f"{parsed.out}: already exists; remove it, or name another file")
    check_output(parsed.out)
    from alexnet_jax.commands.trained import load_net
    from alexnet_jax.export.onnx import export_onnx
    from alexnet_jax.export.stablehlo import export_stablehlo
    from alexnet_jax.files import replace_file

    weights = load_net(parsed.net, parsed.checkpoint, parsed.variant)
    weights.check_complete(shown(parsed.net))
    if parsed.out.suffix == ".onnx":
        content = export_onnx(weights.config, weights.state(), weights.class_names)
    else:
        content = export_stablehlo(weights.config, weights.state())
    with output(parsed.out) as file:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, content)
    size, channels = weights.config.data.image_size, weights.config.model.channels
    print(f"images   uint8 (batch, {size}, {size}, {channels})")
    print(f"logits   float32 (batch, {weights.config.model.classes})")
    print(f"written  {shown(parsed.out)}, {len(content):,} bytes")
    return 0
