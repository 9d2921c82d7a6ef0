"""``alexnet prepare``."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from alexnet_jax.commands.parsing import parse
from alexnet_jax.config import DataConfig
from alexnet_jax.console.progress import PreparationDisplay, say
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.prepare.build import prepare as build
from alexnet_jax.data.prepare.collection import Collection, collect_dataset
from alexnet_jax.data.prepare.imagenet2012 import collect_imagenet2012
from alexnet_jax.data.prepare.journal import Journal
from alexnet_jax.data.prepare.recipe import Recipe
from alexnet_jax.errors import UsageError
from alexnet_jax.signals import StopRequest

IMAGES_PER_SHARD = 4096
"""A stop costs at most so many images' work; the 1.3 million of ImageNet make 350 files, which a process may open."""
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Output:
    """What every source has to be told."""

    data_dir: Path
    """Where the data set goes, in a folder of its own."""
    name: str | None = None
    """What to call the data set. Default: the source's name and the image size, `_raw` for raw pixels, `_validation`
    for those alone."""
    image_size: int = 256
    """Side of the stored images in pixels: the shorter side is scaled to it and the centre cut out."""
    encoding: Literal["jpeg", "raw"] = "jpeg"
    """JPEG, or raw pixels: five times as large, and read without decoding."""
    quality: int = 95
    """Of JPEG."""
    threads: int | None = None
    """How many images to work on at a time. Default: one for each core."""


@dataclass(frozen=True, kw_only=True)
class Imagenet2012(Output):
    """ILSVRC2012 from its two official tars, which are read as they are."""

    source: Path
    """The folder that holds ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar."""
    validation_only: bool = False
    """Only the validation images, to evaluate nets on; the training tar need not be there."""


@dataclass(frozen=True, kw_only=True)
class Folder(Output):
    """A folder of class folders, or of train and test folders that hold them."""

    source: Path
    """The folder."""
    test_fraction: float = 0.1
    """Held out as the test set where there are no train and test folders."""
    validation_fraction: float = 0.0
    """Held out of training to validate on."""
    split_seed: int = 0
    """Which images are held out."""


@dataclass(frozen=True, kw_only=True)
class Tfds(Output):
    """A data set that TFDS has prepared as ArrayRecord, with images of any size."""

    dataset: tyro.conf.Positional[str]
    """NAME, NAME:VERSION or NAME/CONFIG:VERSION, or the folder of a version."""
    source: str | None = None
    """Where TFDS data sets are now. Default: in the package and in TFDS's own place."""
    train_split: str = "train"
    """Which of its splits becomes train."""
    test_split: str = "test"
    """Which becomes test."""
    validation_split: str | None = None
    """Which becomes validation, if any."""


_Arguments = (
    Annotated[Imagenet2012, tyro.conf.subcommand("imagenet2012")]
    | Annotated[Folder, tyro.conf.subcommand("folder")]
    | Annotated[Tfds, tyro.conf.subcommand("tfds")]
)


def main(arguments: list[str]) -> int:
    """Prepares, and prints what was written, what was damaged and how to go on."""
    warnings.filterwarnings("ignore", module="PIL")  # of odd metadata in photos whose pixels are well
    parsed: Imagenet2012 | Folder | Tfds = parse(_Arguments, arguments, "prepare")  # type: ignore[arg-type]
    recipe = Recipe(parsed.image_size, parsed.encoding, parsed.quality)
    source_name, collection = _collect(parsed)
    name = parsed.name or _default_name(parsed, recipe, source_name)
    data_dir = parsed.data_dir.expanduser()
    console = Console()
    for remark in collection.remarks:
        say(console, f"source    {remark}")
    with StopRequest() as stop, PreparationDisplay(console) as display:
        journal = build(
            collection, recipe, data_dir, name, parsed.threads, display.advance, lambda: stop.signal is not None
        )
    if not journal.finished:
        assert stop.signal is not None
        say(console, f"stopped after {journal.done:,} images; the same command goes on from there")
        return 128 + stop.signal
    _report(console, journal)
    say(console, f"next      {_next_command(parsed, name)}")
    return 0


def _default_name(parsed: Output, recipe: Recipe, source_name: str) -> str:
    name = f"{source_name}_{recipe.image_size}" + ("_raw" if recipe.encoding == "raw" else "")
    return f"{name}_validation" if isinstance(parsed, Imagenet2012) and parsed.validation_only else name


def _collect(parsed: Imagenet2012 | Folder | Tfds) -> tuple[str, Collection]:
    """What the source is called, and what it holds."""
    if isinstance(parsed, Imagenet2012):
        collection = collect_imagenet2012(parsed.source, parsed.image_size, IMAGES_PER_SHARD, parsed.validation_only)
        return "imagenet2012", collection
    if isinstance(parsed, Folder):
        if not parsed.source.is_dir():
            raise UsageError(f"--source is {parsed.source}: no such folder; name a folder of class folders")
        config = DataConfig(
            dataset=os.fspath(parsed.source.resolve()),
            image_size=parsed.image_size,
            test_fraction=parsed.test_fraction,
            validation_fraction=parsed.validation_fraction,
            split_seed=parsed.split_seed,
        )
    else:
        config = DataConfig(
            dataset=parsed.dataset,
            data_dir=parsed.source,
            image_size=parsed.image_size,
            train_split=parsed.train_split,
            test_split=parsed.test_split,
            validation_split=parsed.validation_split,
        )
    base = Path(config.dataset.partition(":")[0]).name
    return "_".join(re.findall("[a-z0-9]+", base.lower())), collect_dataset(open_dataset(config, 3), IMAGES_PER_SHARD)


def _report(console: Console, journal: Journal) -> None:
    size, encoding = journal.plan["image_size"], journal.plan["encoding"]
    counts = ", ".join(f"{sum(shards):,} {split}" for split, shards in journal.images.items())
    gigabytes = sum(journal.bytes.values()) / 1e9
    say(console, f"written   {journal.path.parent}")
    say(console, f"images    {counts}, {size} x {size} pixels, {encoding}, {gigabytes:,.2f} GB")
    damaged = [(split, image) for split, part in journal.damaged.items() for image in part]
    for split, image in damaged[:_MOST_NAMED]:
        say(console, f"damaged   {split}: {image.name} ({image.reason}), left out")
    if len(damaged) > _MOST_NAMED:
        say(console, f"damaged   {len(damaged):,} in all, listed in {journal.path}")


def _next_command(parsed: Output, name: str) -> str:
    if isinstance(parsed, Imagenet2012) and parsed.validation_only:
        return f"alexnet evaluate NET --dataset {name} --data_dir {parsed.data_dir} --split validation"
    net = "--preset imagenet_paper" if isinstance(parsed, Imagenet2012) else "--variant paper"
    return (
        f"alexnet train {net} --data.dataset {name} --data.data_dir {parsed.data_dir} "
        f"--data.image_size {parsed.image_size}"
    )
