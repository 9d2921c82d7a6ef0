"""``alexnet evaluate``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from alexnet_jax.commands.parsing import parse
from alexnet_jax.config import DataConfig
from alexnet_jax.errors import UsageError


@dataclass(frozen=True)
class EvaluateArguments:
    """Errors of trained nets on a whole split, every example counted once."""

    nets: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs, or files of weights. The probabilities that several give are averaged (paper, Table 2)."""
    views: Literal["center", "ten-crop"] = "center"
    """The centre; or corners, centre and their reflections, probabilities averaged (paper, section 4.1)."""
    split: str = "test"
    """Of the net's own data: test, validation or train. Of another --dataset: any split that it has."""
    checkpoint: Literal["latest", "best"] = "latest"
    """The last state, or that with the smallest validation error (test error, where nothing was held out)."""
    dataset: str | None = None
    """Another data set than the net's own: as --data.dataset of `alexnet train`."""
    data_dir: str | None = None
    """Where TFDS data sets are now, if not where the run had them."""
    variant: str | None = None
    """Which net a file of weights is of, where its shapes do not tell."""
    devices: int | None = None


def main(arguments: list[str]) -> int:
    """Prints the errors in one line."""
    parsed = parse(EvaluateArguments, arguments, "evaluate")
    if not parsed.nets:
        raise UsageError("no net is named: give the folder of a run, or a file of weights")
    from alexnet_jax.commands.trained import load_trained
    from alexnet_jax.data.dataset import open_dataset
    from alexnet_jax.training.evaluation import evaluate, evaluate_ensemble

    nets = [load_trained(net, parsed.checkpoint, parsed.variant, parsed.devices) for net in parsed.nets]
    net = nets[0]
    data = open_dataset(_data_config(parsed, net.config.data), net.config.model.channels)
    for other in nets:
        other.check_classes(data.class_names, data.where)
        other.check_images(net.config)
    source = data.test if parsed.dataset else getattr(data, parsed.split)
    if source is None:
        raise UsageError("--split is validation: this run held nothing out; use test or train")
    if len(nets) == 1:
        who, result = f"step {int(net.state.step):,}", evaluate(net.state, net.layout, source, parsed.views)
    else:
        pairs = [(other.state, other.layout) for other in nets]
        who, result = f"{len(nets)} nets", evaluate_ensemble(pairs, source, parsed.views)
    print(
        f"{parsed.split}, {parsed.views}, {who}, {result['count']:,} images: "
        f"top-1 error {result['top1_error']:.2%}, top-5 error {result['top5_error']:.2%}, loss {result['loss']:.4f}"
    )
    return 0


def _data_config(parsed: EvaluateArguments, own: DataConfig) -> DataConfig:
    """Where the images are. Of a data set that is not the net's ``own``, the split that is asked for is what counts."""
    from alexnet_jax.data.folder import is_image_folder

    if parsed.dataset is not None:
        own = DataConfig(dataset=parsed.dataset, image_size=own.image_size, test_split=parsed.split)
        if not is_image_folder(parsed.dataset):  # whose classes the training images name
            own = replace(own, train_split=parsed.split)
    elif parsed.split not in ("test", "validation", "train"):
        raise UsageError(f"--split is {parsed.split!r}: use test, validation or train, or name another --dataset")
    return own if parsed.data_dir is None else replace(own, data_dir=parsed.data_dir)
