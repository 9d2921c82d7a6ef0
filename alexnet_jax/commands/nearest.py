"""``alexnet nearest``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.console import Console

from alexnet_jax.commands.json_output import STDOUT, JsonPath, check_json_path, check_picture_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config.checks import check
from alexnet_jax.errors import UsageError
from alexnet_jax.stores.output import output
from alexnet_jax.stores.store import shown
from alexnet_jax.training.runs.run_directory import Which

if TYPE_CHECKING:
    from alexnet_jax.readout.nearest import Neighbours
    from alexnet_jax.weights.weights import Weights


@dataclass(frozen=True)
class NearestArguments:
    """Find the images of a data set that are nearest to some images, as in the paper's Figure 4.

    Their distance is the Euclidean distance of the features of a layer.
    """

    net: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="NET")]
    """A run directory, a file of weights, or a name of trained weights such as torchvision_features."""
    data: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """What to search: a folder of images; an array of an HDF5 file, FILE.h5:ARRAY; a data set; or a file that
    `alexnet features` wrote with this net."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE ...")]
    """JPEG, PNG or WebP files, or folders, whose images are all read."""
    layer: str | None = None
    """The layer. Default: relu7, or the last layer before the classifier."""
    count: int = 6
    """The number of nearest images."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """The picture to write: a row for each image, and its nearest images to the right of it. Default: nearest.png, or
    none if DATA is a file of features, which has no images."""
    split: str | None = None
    """The split of a data set. Default: train."""
    data_dir: str | None = None
    """The directory of TFDS data sets."""
    checkpoint: Which = "latest"
    """The checkpoint of a run: the latest, that of a step, or the one with the smallest error on validation images, if
    the run has some."""
    variant: str | None = None
    """The net, if a file of weights fits more than one."""
    json: JsonPath = None
    """Also write the nearest images to a JSON file; - prints the JSON instead of the table."""


_PICTURE = Path("nearest.png")
_MOST_ROWS = 50
"""Images in a picture."""


@dataclass(frozen=True)
class _Data:
    """What is searched.

    Attributes:
        count: the number of images.
        name: the name of an image, by its row.
        batches: the features of all images, in order.
        image: the pixels of an image, or None if there are only features.
    """

    count: int
    name: Callable[[int], str]
    batches: Iterable[Any]
    image: Callable[[int], Any] | None = None


def main(arguments: list[str]) -> int:
    """Searches all images of the data, prints the nearest ones and draws them."""
    warnings.filterwarnings("ignore", module="PIL")  # about odd metadata in photos with intact pixels
    parsed = parse(NearestArguments, arguments, "nearest")
    _check(parsed)
    import numpy as np

    from alexnet_jax.commands.trained import load_net, naming
    from alexnet_jax.console.progress import CountDisplay
    from alexnet_jax.data.images import decode_image
    from alexnet_jax.readout.compute import features_of
    from alexnet_jax.readout.layers import find_layers, last_hidden_layer
    from alexnet_jax.readout.nearest import nearest

    weights = load_net(parsed.net, parsed.checkpoint, parsed.variant)
    config, params = weights.config, weights.params
    asked = parsed.layer or last_hidden_layer(params, config.model)
    layer = find_layers([asked], params, config.model)[asked]
    data = _open(parsed, weights, layer)
    files = _files(parsed.images)
    size, channels, resize = config.data.image_size, config.model.channels, config.data.resize
    images = np.stack([decode_image(file, size, channels, resize) for file in files])
    with naming(parsed.net), CountDisplay(Console(stderr=parsed.json == STDOUT)) as display:
        queries = features_of(weights, images, (layer,))[layer]
        found = nearest(queries, data.batches, parsed.count, lambda done: display.advance(done, data.count))
    picture = None
    if data.image is not None:
        picture = parsed.out or _PICTURE
        with output(picture, is_new=False) as file:
            _draw(file, asked, files, images, data, found)
    rows = [
        {
            "image": str(file),
            "nearest": [
                {"name": data.name(int(row)), "row": int(row), "distance": float(distance)}
                for row, distance in zip(found.rows[index], found.distances[index], strict=True)
            ],
        }
        for index, file in enumerate(files)
    ]
    result = {
        "layer": asked,
        "searched": data.count,
        "picture": None if picture is None else shown(picture),
        "images": rows,
    }
    if write_json(result, parsed.json):
        _print(result)
    return 0


def _check(parsed: NearestArguments) -> None:
    if not parsed.images:
        raise UsageError("no images: name one or more files or folders after the data")
    check(parsed.count > 0, "--count", parsed.count, "use a number above 0")
    check_picture_path(parsed.out or _PICTURE)
    check_json_path(parsed.json)


def _open(parsed: NearestArguments, weights: Weights, layer: str) -> _Data:
    from alexnet_jax.commands.trained import open_images_for
    from alexnet_jax.readout.compute import feature_batches
    from alexnet_jax.readout.stored import find_stored, stored_batches, stored_layer

    stored = find_stored(parsed.data)
    if stored is None:
        source = open_images_for(weights, parsed.data, parsed.split, "train", parsed.data_dir)
        batches = (batch[layer] for batch in feature_batches(weights, source, (layer,)))
        return _Data(len(source), source.name, batches, lambda row: source[row]["image"])
    if parsed.split is not None:
        raise UsageError(f"--split is {parsed.split}: only data sets have splits; name a file of its features")
    if parsed.out is not None:
        raise UsageError(f"--out is {parsed.out}: {stored.path} has no images to draw; name images, or leave out --out")
    return _Data(stored.count, stored.name, stored_batches(stored_layer(stored, weights, layer)))


def _files(paths: tuple[Path, ...]) -> list[Path]:
    """The files among ``paths``, and the image files in the folders among them."""
    from alexnet_jax.data.folder_layout import images_in

    return [file for path in paths for file in (images_in(path) if path.is_dir() else [path])]


def _draw(out: Path, layer: str, files: list[Path], images: Any, data: _Data, found: Neighbours) -> None:
    from alexnet_jax.readout.pictures import Panel, draw_nearest

    assert data.image is not None
    panels = [
        Panel(
            (file.name, images[index]),
            [
                (data.name(int(row)), data.image(int(row)), float(distance))
                for row, distance in zip(found.rows[index], found.distances[index], strict=True)
            ],
        )
        for index, file in enumerate(files[:_MOST_ROWS])
    ]
    draw_nearest(panels, layer, out)


def _print(result: dict[str, Any]) -> None:
    from rich.text import Text

    from alexnet_jax.console.progress import say
    from alexnet_jax.console.tables import plain_table

    console = Console()
    table = plain_table("image", "nearest", "distance")
    table.columns[1].justify = "left"
    for column in table.columns[:2]:
        column.no_wrap, column.overflow = False, "fold"
    for row in result["images"]:
        for position, one in enumerate(row["nearest"]):
            name = row["image"] if position == 0 else ""
            table.add_row(Text(name), Text(one["name"]), f"{one['distance']:.4g}")
    say(console, f"layer     {result['layer']}, {result['searched']:,} images searched")
    console.print(table)
    if result["picture"] is None:
        return
    drawn = min(len(result["images"]), _MOST_ROWS)
    part = "" if drawn == len(result["images"]) else f", the first {drawn} images"
    say(console, f"written   {result['picture']}{part}")
