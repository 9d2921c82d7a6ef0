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
from alexnet_jax.config import DataConfig, Resize
from alexnet_jax.config.checks import check
from alexnet_jax.console.progress import CountDisplay, say, say_verbatim
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.prepare.build import prepare as build
from alexnet_jax.data.prepare.collection import Collection, collect_dataset
from alexnet_jax.data.prepare.imagenet2010 import collect_imagenet2010
from alexnet_jax.data.prepare.imagenet2012 import collect_imagenet2012
from alexnet_jax.data.prepare.journal import Journal
from alexnet_jax.data.prepare.recipe import Recipe
from alexnet_jax.errors import UsageError
from alexnet_jax.hints import command
from alexnet_jax.presets import preset
from alexnet_jax.signals import StopRequest
from alexnet_jax.stores.store import shown, url_of

IMAGES_PER_SHARD = 4096
"""A stopped preparation loses at most one shard. The 1.3 million images of ImageNet make about 350 shards."""
_MOST_NAMED = 5


@dataclass(frozen=True, kw_only=True)
class Output:
    """Options of every source."""

    data_dir: Path
    """The directory in which to make a directory for the data set."""
    name: str | None = None
    """The name of the data set. Default: the source's name and the image size, with `_squash` for --resize squash,
    `_raw` for raw pixels and `_validation` with --validation_only."""
    image_size: int = 256
    """Side of the stored images in pixels."""
    resize: Resize = "crop"
    """crop: scale the shorter side, and crop the central square, as the paper did. squash: scale both sides, which
    changes the proportions, as Caffe did."""
    encoding: Literal["jpeg", "raw"] = "jpeg"
    """JPEG, or raw pixels, which are about five times as large and need no decoding."""
    quality: int = 95
    """JPEG quality, 1 to 100."""
    threads: int | None = None
    """Threads that read and encode images. Default: one for each core."""

    def __post_init__(self) -> None:
        remedy = "use a directory of this machine, and copy it to the store when it is complete"
        check(url_of(self.data_dir) is None, "--data_dir", shown(self.data_dir), remedy)


@dataclass(frozen=True, kw_only=True)
class Imagenet2012(Output):
    """ILSVRC2012 from its two official tars, which are read without unpacking."""

    source: Path
    """The directory with ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar."""
    validation_only: bool = False
    """Prepare only the validation images, to evaluate nets. The training tar is not needed."""


@dataclass(frozen=True, kw_only=True)
class Imagenet2010(Output):
    """ILSVRC2010 from its official tars, which are read without unpacking. Its test images have labels."""

    source: Path
    """The directory with ILSVRC2010_images_train.tar, ILSVRC2010_images_val.tar, ILSVRC2010_images_test.tar,
    ILSVRC2010_devkit-1.0.tar.gz, ILSVRC2010_test_ground_truth.txt and, if available, patch_images.tar."""


@dataclass(frozen=True, kw_only=True)
class Folder(Output):
    """A folder of class folders, or of train and test folders with class folders in them."""

    source: Path
    """The folder."""
    test_fraction: float = 0.1
    """Fraction to hold out as the test set, if the folder has no train and test folders."""
    validation_fraction: float = 0.0
    """Fraction of the training images to hold out for validation."""
    split_seed: int = 0
    """Random seed of the choice of held-out images."""


@dataclass(frozen=True, kw_only=True)
class Tfds(Output):
    """A TFDS data set in ArrayRecord format, with images of any size."""

    dataset: tyro.conf.Positional[str]
    """NAME, NAME:VERSION or NAME/CONFIG:VERSION, or the directory of a version."""
    source: str | None = None
    """The directory of TFDS data sets. Default: the package and TFDS's own directory."""
    train_split: str = "train"
    """The split that becomes train."""
    test_split: str = "test"
    """The split that becomes test."""
    validation_split: str | None = None
    """The split that becomes validation, if any."""


Source = Imagenet2012 | Imagenet2010 | Folder | Tfds

PrepareArguments = (
    Annotated[Imagenet2012, tyro.conf.subcommand("imagenet2012")]
    | Annotated[Imagenet2010, tyro.conf.subcommand("imagenet2010")]
    | Annotated[Folder, tyro.conf.subcommand("folder")]
    | Annotated[Tfds, tyro.conf.subcommand("tfds")]
)


def main(arguments: list[str]) -> int:
    """Prepares a data set, and prints what was written, what was damaged, and the next command."""
    warnings.filterwarnings("ignore", module="PIL")  # about odd metadata in photos with intact pixels
    parsed: Source = parse(PrepareArguments, arguments, "prepare")  # type: ignore[arg-type]
    recipe = Recipe(parsed.image_size, parsed.encoding, parsed.quality, parsed.resize)
    source_name, collection = _collect(parsed)
    name = parsed.name or _default_name(parsed, recipe, source_name)
    data_dir = parsed.data_dir.expanduser()
    console = Console()
    for remark in collection.remarks:
        say(console, f"note      {remark}")
    with StopRequest() as stop, CountDisplay(console, is_estimate=True) as display:
        journal = build(
            collection, recipe, data_dir, name, parsed.threads, display.advance, lambda: stop.signal is not None
        )
    if not journal.finished:
        assert stop.signal is not None
        say(console, f"stopped after {journal.done:,} images; run the same command to resume")
        return 128 + stop.signal
    _report(console, journal)
    say(console, "next")
    say_verbatim(console, _next_command(parsed, name, list(journal.images)))
    return 0


def _default_name(parsed: Output, recipe: Recipe, source_name: str) -> str:
    suffixes = ("_squash" if recipe.resize == "squash" else "") + ("_raw" if recipe.encoding == "raw" else "")
    name = f"{source_name}_{recipe.image_size}{suffixes}"
    return f"{name}_validation" if isinstance(parsed, Imagenet2012) and parsed.validation_only else name


def _collect(parsed: Source) -> tuple[str, Collection]:
    """The name of the source, and its images."""
    if isinstance(parsed, Imagenet2012):
        collection = collect_imagenet2012(
            parsed.source, parsed.image_size, IMAGES_PER_SHARD, parsed.validation_only, parsed.resize
        )
        return "imagenet2012", collection
    if isinstance(parsed, Imagenet2010):
        collection = collect_imagenet2010(parsed.source, parsed.image_size, IMAGES_PER_SHARD, parsed.resize)
        return "imagenet2010", collection
    if isinstance(parsed, Folder):
        if not parsed.source.is_dir():
            raise UsageError(f"--source is {parsed.source}: no such folder; name a folder of class folders")
        config = DataConfig(
            dataset=os.fspath(parsed.source.resolve()),
            image_size=parsed.image_size,
            resize=parsed.resize,
            test_fraction=parsed.test_fraction,
            validation_fraction=parsed.validation_fraction,
            split_seed=parsed.split_seed,
        )
    else:
        config = DataConfig(
            dataset=parsed.dataset,
            data_dir=parsed.source,
            image_size=parsed.image_size,
            resize=parsed.resize,
            train_split=parsed.train_split,
            test_split=parsed.test_split,
            validation_split=parsed.validation_split,
        )
    return _name_of(config.dataset), collect_dataset(open_dataset(config, 3), IMAGES_PER_SHARD)


def _name_of(dataset: str) -> str:
    """A name for what is prepared from ``dataset``, which is a folder, NAME:VERSION or the directory of a version."""
    path = Path(dataset.partition(":")[0])
    folder = path.parent if (path / "dataset_info.json").is_file() else path
    name = "_".join(re.findall("[a-z0-9]+", folder.name.lower()))
    return name if name[:1].isalpha() else "_".join(filter(None, ("data", name)))


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
        say(console, f"damaged   {len(damaged):,} in total, listed in {journal.path}")


def _next_command(parsed: Output, name: str, splits: list[str]) -> str:
    """The command that trains or evaluates on the prepared data set, with the preset whose crops fit the images."""
    place = ["--data_dir", parsed.data_dir]
    if splits == ["validation"]:
        return command("evaluate", "NET", "--dataset", name, *place, "--split", "validation")
    size = parsed.image_size
    is_imagenet = isinstance(parsed, Imagenet2012 | Imagenet2010)
    candidates = ["imagenet_paper", "photos"] if is_imagenet else ["photos"]
    chosen = next((each for each in candidates if size >= preset(each).model.image_size), "quickstart")
    crop = preset(chosen).model.image_size
    options = [
        "--preset",
        chosen,
        "--data.dataset",
        name,
        "--data.data_dir",
        parsed.data_dir,
        "--data.image_size",
        size,
    ]
    if size < crop:
        options += ["--model.image_size", size]
    test_split = "test" if "test" in splits else "validation"
    if test_split != preset(chosen).data.test_split:
        options += ["--data.test_split", test_split]
    if test_split != "validation" and "validation" in splits:
        options += ["--data.validation_split", "validation"]
    return command("train", *options)
