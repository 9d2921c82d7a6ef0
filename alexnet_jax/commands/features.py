"""``alexnet features``."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from alexnet_jax.commands.json_output import STDOUT, JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config.checks import check
from alexnet_jax.stores.output import check_output, resumable_output
from alexnet_jax.stores.store import shown
from alexnet_jax.training.runs.run_directory import Which


@dataclass(frozen=True)
class FeaturesArguments:
    """Read the features of many images out of a net, all layers in one pass."""

    net: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="NET")]
    """A run directory, a file of weights, or a name of trained weights such as torchvision."""
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """A folder, whose images are all read; an array of an HDF5 file, FILE.h5:ARRAY; or a data set."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """The file to write: .h5, or .npz or .mat for smaller results. FILE.order.txt gets the name of each row's image."""
    layers: Annotated[tuple[str, ...], tyro.conf.arg(metavar="LAYER ...")] = ()
    """The layers, by the names that `alexnet summary` lists or by torchvision's, such as features.12. Default: the
    output of every block."""
    untrained: int | None = None
    """Read an untrained control: the same net with initial weights, drawn with this random seed."""
    spatial_mean: bool = False
    """Average each channel over its pixels."""
    pca: int | None = None
    """Reduce each layer to this many principal components, those of at most 2,000 of the images."""
    random_projection: int | None = None
    """Reduce each layer to this many sparse random projections."""
    seed: int = 0
    """The random seed of the projections."""
    split: str | None = None
    """The split of a data set. Default: test."""
    data_dir: str | None = None
    """The directory of TFDS data sets."""
    checkpoint: Which = "latest"
    """The checkpoint of a run: the latest, that of a step, or the one with the smallest error on validation images, if
    the run has some."""
    variant: str | None = None
    """The net, if a file of weights fits more than one."""
    json: JsonPath = None
    """Also write what was read to a JSON file; - prints the JSON instead of the text."""


def main(arguments: list[str]) -> int:
    """Reads the features, or the rest of them, and prints the arrays of the file."""
    warnings.filterwarnings("ignore", module="PIL")  # about odd metadata in photos with intact pixels
    parsed = parse(FeaturesArguments, arguments, "features")
    check_json_path(parsed.json)
    check(parsed.untrained is None or 0 <= parsed.untrained < 2**32, "--untrained", parsed.untrained, "use 0 or more")
    check_output(parsed.out)
    from alexnet_jax.readout.reduction import Reduction

    reduction = Reduction(parsed.spatial_mean, parsed.pca, parsed.random_projection, parsed.seed)
    from alexnet_jax.commands.trained import load_net, naming, open_images_for
    from alexnet_jax.console.progress import CountDisplay, say
    from alexnet_jax.readout.control import untrained
    from alexnet_jax.readout.layers import find_layers, usual_layers
    from alexnet_jax.readout.run import Progress, ReadOut, read_out
    from alexnet_jax.signals import StoppedError, StopRequest

    weights = load_net(parsed.net, parsed.checkpoint, parsed.variant)
    model = weights.config.model
    layers = find_layers(parsed.layers or usual_layers(weights.params, model), weights.params, model)
    source = open_images_for(weights, parsed.data, parsed.split, "test", parsed.data_dir)
    if parsed.untrained is not None:
        weights = untrained(weights, parsed.untrained)
    what = ReadOut(weights, source, layers, reduction, parsed.untrained)
    console = Console(stderr=parsed.json == STDOUT)
    with naming(parsed.net), StopRequest() as stop, CountDisplay(console) as display:
        try:
            progress = Progress(display.advance, stop.check, lambda line: say(console, f"pca       {line}"))
            with resumable_output(parsed.out) as out:
                result = read_out(what, out, progress)
        except StoppedError:
            assert stop.signal is not None
            say(console, "stopped; run the same command to resume")
            return 128 + stop.signal
    arrays: list[dict[str, Any]] = [
        {"array": name, "layer": layers[name], "shape": shape}
        | ({"explained_variance": result.explained[name]} if name in result.explained else {})
        for name, shape in result.shapes.items()
    ]
    found = {"out": shown(parsed.out), "images": len(source), "resumed_at": result.resumed, "arrays": arrays}
    if write_json(found, parsed.json):
        _print(console, found)
    return 0


def _print(console: Console, found: dict[str, Any]) -> None:
    from alexnet_jax.console.progress import say
    from alexnet_jax.console.tables import plain_table

    if found["resumed_at"] == found["images"]:
        say(console, "complete  all features had been read before")
    elif found["resumed_at"]:
        say(console, f"resumed   at image {found['resumed_at']:,}")
    has_pca = any("explained_variance" in row for row in found["arrays"])
    table = plain_table("array", "layer", "shape", *(["variance"] if has_pca else []))
    for row in found["arrays"]:
        shape = " x ".join(f"{side:,}" for side in row["shape"])
        explained = f"{row['explained_variance']:.1%}" if "explained_variance" in row else ""
        table.add_row(row["array"], row["layer"], shape, *([explained] if has_pca else []))
    console.print(table)
    say(console, f"written   {found['out']}, and the names of its rows to {found['out']}.order.txt")
