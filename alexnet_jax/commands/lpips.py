"""``alexnet lpips``."""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro
from rich.console import Console

from alexnet_jax.commands.json_output import JsonPath, check_file_path, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.errors import UsageError
from alexnet_jax.stores.output import output
from alexnet_jax.stores.store import shown

_MOST_DECODED = 64  # images kept in memory, because each is in many pairs


@dataclass(frozen=True)
class LpipsArguments:
    """Measure the perceptual distance of images with LPIPS: 0 for identical images.

    Images of a pair must have the same size, and are not resized.
    """

    a: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="A")]
    """An image file or a folder of images."""
    b: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="B")] = None
    """An image file, or a folder with images of the same names. Without it, all pairs of images in the folder A."""
    heads: Literal["v0.1", "none"] = "v0.1"
    """The version of the weights of the channels; none weights all channels by 1."""
    net: Path = Path("torchvision_features")
    """Weights of torchvision's AlexNet: a name, a run directory or a file."""
    map: Annotated[Path | None, tyro.conf.arg(metavar="OUT.png")] = None
    """Draw the two images and the map of their distance."""
    json: JsonPath = None
    """Also write the distances to a JSON file; - prints the JSON instead of the table."""


def main(arguments: list[str]) -> int:
    """Prints the distance of each pair."""
    warnings.filterwarnings("ignore", module="PIL")  # about odd metadata in photos with intact pixels
    parsed = parse(LpipsArguments, arguments, "lpips")
    check_json_path(parsed.json)
    from alexnet_jax.perceptual.pairs import check_sizes, find_pairs, read_image

    pairs = find_pairs(parsed.a, parsed.b)
    if parsed.map is not None:
        _check_map(parsed.map, pairs)
    from alexnet_jax.commands.trained import load_net, naming
    from alexnet_jax.console.progress import CountDisplay
    from alexnet_jax.perceptual.lpips import lpips

    params = load_net(parsed.net, "latest", None).params
    heads = None if parsed.heads == "none" else parsed.heads
    read = lru_cache(_MOST_DECODED)(read_image)

    def compare(pair: tuple[Path, Path], spatial: bool = False) -> Any:
        images = [read(file) for file in pair]
        check_sizes(pair, *images)
        with naming(parsed.net):
            return np.asarray(lpips(params, *(image[None] for image in images), heads=heads, spatial=spatial)[0])

    rows: list[dict[str, Any]] = []
    with CountDisplay(Console(stderr=True), unit="pairs") as display:
        for pair in pairs:
            display.advance(len(rows), len(pairs))
            rows.append({"a": str(pair[0]), "b": str(pair[1]), "distance": float(compare(pair))})
    about = f"LPIPS, net {shown(parsed.net)}, heads {parsed.heads}"
    if parsed.map is not None:
        from alexnet_jax.perceptual.picture import draw_map

        named = {f"{name}: {file}": read(file) for name, file in zip("ab", pairs[0], strict=True)}
        with output(parsed.map, is_new=False) as picture:
            draw_map(named, compare(pairs[0], spatial=True), f"{about}: {rows[0]['distance']:.4f}", picture)
    _report_dropped_parts(dict.fromkeys(file for pair in pairs for file in pair))
    as_text = write_json(rows, parsed.json)
    print(about, file=None if as_text else sys.stderr)
    if as_text:
        _print(rows)
    return 0


def _check_map(path: Path, pairs: list[tuple[Path, Path]]) -> None:
    if len(pairs) > 1:
        raise UsageError(f"--map is {path}: there are {len(pairs)} pairs; name two files for a map")
    if path.suffix.lower() != ".png":
        raise UsageError(f"--map is {path}: use a name that ends in .png")
    check_file_path("--map", path)
    if path.exists() and any(path.samefile(file) for file in pairs[0] if file.exists()):
        raise UsageError(f"--map is {path}: is one of the images; use another name")


def _report_dropped_parts(files: dict[Path, None]) -> None:
    from alexnet_jax.data.images import dropped_parts

    for file in files:
        for part in dropped_parts(file):
            print(f"alexnet: note: {file}: not compared: {part}", file=sys.stderr)


def _print(rows: list[dict[str, Any]]) -> None:
    width = max(len("a"), *(len(row["a"]) for row in rows))
    print(f"{'distance':>10}  {'a':<{width}}  b")
    for row in rows:
        print(f"{row['distance']:10.6f}  {row['a']:<{width}}  {row['b']}")
