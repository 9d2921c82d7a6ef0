"""``alexnet evaluate``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from alexnet_jax.commands.json_output import JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config import DataConfig, TrainConfig, Views
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.stores.fetch import local
from alexnet_jax.stores.store import shown, url_of
from alexnet_jax.training.runs.run_directory import Which

if TYPE_CHECKING:
    from alexnet_jax.commands.trained import Trained
    from alexnet_jax.data.folder import FolderSource
    from alexnet_jax.data.source import DataSet, Source

_OWN_SPLITS = ("test", "validation", "train")


@dataclass(frozen=True)
class EvaluateArguments:
    """Measure the errors of one or several nets on every image of a split."""

    nets: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NET ...")]
    """Run directories, files of weights, or names of trained weights such as torchvision. The probabilities of several
    nets are averaged (paper, Table 2)."""
    views: Views | None = None
    """Predict from the centre crop, or average the probabilities of this and its reflection (center-flip) or of ten
    crops (paper, section 4.1). Default: the views of the run, of the first of several."""
    split: str = "test"
    """The split: test, validation or train of the net's own data, or any split of another --dataset."""
    checkpoint: Which = "latest"
    """The checkpoint of a run: the latest, that of a step, or the one with the smallest error on validation images, if
    the run has some."""
    dataset: str | None = None
    """A data set other than the net's own, or the new place of its own, as in --data.dataset of `alexnet train`."""
    real_labels: Path | None = None
    """ReaL's real.json, for the validation images of ILSVRC-2012: an image counts as right if the net's best class is
    one of its labels, and images without labels do not count."""
    data_dir: str | None = None
    """The directory of TFDS data sets, if they have moved since the run."""
    variant: str | None = None
    """The net, if a file of weights fits more than one."""
    devices: int | None = None
    """The number of devices. Default: one on a CPU, otherwise all."""
    json: JsonPath = None
    """Also write the errors to a JSON file; - prints the JSON instead of the text."""


def main(arguments: list[str]) -> int:
    """Evaluates the nets and prints the errors."""
    parsed = parse(EvaluateArguments, arguments, "evaluate")
    if not parsed.nets:
        raise UsageError("no net is named: name a run directory or a file of weights")
    check_json_path(parsed.json)
    if url_of(parsed.dataset or "") is not None:
        parsed = replace(parsed, dataset=str(local(parsed.dataset or "")))
    from alexnet_jax.commands.trained import load_trained, naming
    from alexnet_jax.data.real_labels import Numbered, read_real_labels
    from alexnet_jax.data.source import Relabelled
    from alexnet_jax.training.evaluation import evaluate, evaluate_ensemble, evaluate_label_sets

    nets = [load_trained(net, parsed.checkpoint, parsed.variant, parsed.devices) for net in parsed.nets]
    net = nets[0]
    real = None if parsed.real_labels is None else read_real_labels(parsed.real_labels)
    source, class_names, where = _open_images(parsed, net, is_real=real is not None)
    labels = net.labels_of(class_names, where)
    for path, other in zip(parsed.nets, nets, strict=True):
        other.check_images(net.config)
        if other.labels_of(class_names, where) != labels:
            raise UsageError(
                f"{parsed.nets[0]} and {path} learned the classes in another order: evaluate them one by one"
            )
    placed = [(other.state, other.layout) for other in nets]
    views = parsed.views or net.config.views
    with naming(*parsed.nets):
        if real is not None:
            sets = [frozenset(labels[label] for label in one) for one in real]
            errors = evaluate_label_sets(placed, Numbered(source, real), sets, views)
        elif len(nets) == 1:
            errors = evaluate(net.state, net.layout, Relabelled(source, labels), views)
        else:
            errors = evaluate_ensemble(placed, Relabelled(source, labels), views)
    if net.config.model.classes <= 5 and real is None:
        del errors["top5_error"]  # always 0
    result = {
        "nets": [shown(path) for path in parsed.nets],
        "steps": [int(other.state.step) for other in nets],
        "split": parsed.split,
        "views": views,
        **({} if real is None else {"real_labels": str(parsed.real_labels)}),
        **errors,
    }
    if write_json(result, parsed.json):
        print(_describe(result))
    return 0


def _open_images(parsed: EvaluateArguments, net: Trained, is_real: bool) -> tuple[Source, tuple[str, ...], Path]:
    """The images to evaluate on, the names of the classes that their labels stand for, and where they are."""
    from alexnet_jax.data.dataset import open_dataset
    from alexnet_jax.data.synsets import synset_names

    imagenet_names = tuple(synset_names().values())
    moved = _moved_data(parsed, net.config)
    numbered = None if moved or is_real else _numbered_images(parsed, net)
    if numbered is not None:
        return numbered, imagenet_names, numbered.root
    data = moved or open_dataset(_data_config(parsed, net.config.data), net.config.model.channels)
    if parsed.dataset is None:
        _warn_of_changes(parsed, data)
    source = data.test if parsed.dataset and not moved else getattr(data, parsed.split)
    if source is None:
        raise UsageError("--split is validation: this run held nothing out; use test or train")
    return source, imagenet_names if is_real else data.class_names, data.where


def _numbered_images(parsed: EvaluateArguments, net: Trained) -> FolderSource | None:
    """The images of a ``--dataset`` whose class folders are ImageNet's labels, as in ImageNet-V2, if it is one."""
    from alexnet_jax.data.folder import is_image_folder, numbered_classes, open_numbered_folder
    from alexnet_jax.data.synsets import synset_names

    if parsed.dataset is None or not is_image_folder(parsed.dataset):
        return None
    root, known = Path(parsed.dataset).expanduser(), set(synset_names().values())
    classes = numbered_classes(root)
    if classes == 0 or (set(net.class_names) if net.class_names else known) != known:
        return None
    if classes > len(known):
        raise UsageError(f"{root}: has a class folder {classes - 1}, but ImageNet's labels are 0 to {len(known) - 1}")
    config = DataConfig(image_size=net.config.data.image_size, resize=net.config.data.resize)
    return open_numbered_folder(root, config, net.config.model.channels)


def _moved_data(parsed: EvaluateArguments, config: TrainConfig) -> DataSet | None:
    """The data of the first run, if ``--dataset`` is their new place."""
    from alexnet_jax.data.dataset import open_dataset
    from alexnet_jax.data.identity import describe_data_change, identify
    from alexnet_jax.training.runs.run_directory import RunDirectory
    from alexnet_jax.weights.read import local_net

    if parsed.dataset is None or parsed.split not in _OWN_SPLITS:
        return None
    own = replace(config.data, dataset=parsed.dataset, data_dir=parsed.data_dir or config.data.data_dir)
    try:
        known = RunDirectory(local_net(parsed.nets[0], parsed.checkpoint)).read_data()
        if known is None:
            return None
        data = open_dataset(own, config.model.channels)
    except AlexNetError:  # it is another data set
        return None
    return data if describe_data_change(known, identify(data)) is None else None


def _warn_of_changes(parsed: EvaluateArguments, data: DataSet) -> None:
    """Prints a line for each run whose data have changed since it started."""
    from alexnet_jax.data.identity import identify
    from alexnet_jax.training.runs.run_directory import RunDirectory
    from alexnet_jax.weights.read import local_net

    now = identify(data)
    for net in parsed.nets:
        try:
            change = RunDirectory(local_net(net, parsed.checkpoint)).data_change(now)
        except AlexNetError as error:
            print(f"alexnet: warning: {error}", file=sys.stderr)
            continue
        if change is not None:
            print(
                f"alexnet: warning: {data.where}: the data changed since the run in {shown(net)} started: {change}; "
                "restore them to measure the errors of the run",
                file=sys.stderr,
            )


def _describe(result: dict[str, Any]) -> str:
    nets = f"step {result['steps'][0]:,}" if len(result["nets"]) == 1 else f"{len(result['nets'])} nets"
    loss = f", loss {result['loss']:.4f}" if "loss" in result else " with ReaL labels"
    top5 = f", top-5 error {result['top5_error']:.2%}" if "top5_error" in result else ""
    return (
        f"{result['split']}, {result['views']}, {nets}, {result['count']:,} images\n"
        f"top-1 error {result['top1_error']:.2%}{top5}{loss}"
    )


def _data_config(parsed: EvaluateArguments, own: DataConfig) -> DataConfig:
    """The images to evaluate on: those of the net's ``own`` run, or a split of another data set."""
    from alexnet_jax.data.folder import is_image_folder
    from alexnet_jax.data.folder_layout import find_layout

    if parsed.dataset is not None:
        own = DataConfig(dataset=parsed.dataset, image_size=own.image_size, resize=own.resize, test_split=parsed.split)
        if not is_image_folder(parsed.dataset):  # a folder takes its class names from its training images
            own = replace(own, train_split=parsed.split)
        elif parsed.split != "test" and find_layout(Path(parsed.dataset).expanduser(), own).test is None:
            raise UsageError(f"--split is {parsed.split!r}: {parsed.dataset} has no split folders; leave out --split")
    elif parsed.split not in _OWN_SPLITS:
        raise UsageError(f"--split is {parsed.split!r}: use test, validation or train, or name another --dataset")
    return own if parsed.data_dir is None else replace(own, data_dir=parsed.data_dir)
