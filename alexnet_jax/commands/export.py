"""``alexnet export``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from alexnet_jax.commands.parsing import parse
from alexnet_jax.errors import UsageError


@dataclass(frozen=True)
class ExportArguments:
    """A trained net as one file for other programs, which takes any number of images at a time.

    It reads uint8 images as stored, (batch, height, width, channels), and gives logits: crop and mean are inside.
    """

    net: tyro.conf.Positional[Path]
    """The folder of a run, or a file of weights."""
    out: tyro.conf.Positional[Path]
    """The file to write."""
    format: Literal["stablehlo", "onnx"] = "stablehlo"
    """For `jax.export.deserialize` on CPU, CUDA and TPU; or for ONNX Runtime and the like."""
    checkpoint: Literal["latest", "best"] = "latest"
    """Of a run: the last state, or that with the smallest error."""
    variant: str | None = None
    """Which net a file of weights is of, where its shapes do not tell."""


def main(arguments: list[str]) -> int:
    """Exports, and prints what the file takes and gives."""
    parsed = parse(ExportArguments, arguments, "export")
    if parsed.out.exists():
        raise UsageError(f"{parsed.out}: is there already; remove it, or name another file")
    from alexnet_jax.commands.trained import load_weights_of
    from alexnet_jax.export.onnx import export_onnx
    from alexnet_jax.export.stablehlo import export_stablehlo
    from alexnet_jax.files import replace_file

    weights = load_weights_of(parsed.net, parsed.checkpoint, parsed.variant)
    exported = (export_onnx if parsed.format == "onnx" else export_stablehlo)(weights.config, weights.state())
    parsed.out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(parsed.out, exported)
    size, channels = weights.config.data.image_size, weights.config.model.channels
    print(f"images   uint8 (batch, {size}, {size}, {channels})")
    print(f"logits   float32 (batch, {weights.config.model.classes})")
    print(f"written  {parsed.out}, {len(exported):,} bytes of {parsed.format}")
    return 0
