"""``alexnet predict``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from alexnet_jax.commands.json_output import STDOUT, JsonPath, check_json_path, write_json
from alexnet_jax.commands.parsing import parse
from alexnet_jax.config import TrainConfig, Views
from alexnet_jax.config.checks import check
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.training.runs.run_directory import Which


@dataclass(frozen=True)
class PredictArguments:
    """Print the most probable classes of images."""

    net: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="NET")]
    """A run directory, a file of weights, or a name of trained weights such as torchvision."""
    images: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE ...")]
    """JPEG, PNG or WebP files of any size, or folders, which are searched recursively."""
    top: int = 5
    """The number of classes to print for each image."""
    json: JsonPath = None
    """Also write the predictions to a JSON file; - prints the JSON instead of the text."""
    views: Views | None = None
    """Predict from the centre crop, or average the probabilities of this and its reflection (center-flip) or of ten
    crops (paper, section 4.1). Default: the views of the run."""
    checkpoint: Which = "latest"
    """The checkpoint of a run: the latest, that of a step, or the one with the smallest error on validation images, if
    the run has some."""
    variant: str | None = None
    """The net, if a file of weights fits more than one."""
    devices: int | None = None
    """The number of devices. Default: one on a CPU, otherwise all."""


def main(arguments: list[str]) -> int:
    """Predicts every readable image. Reports unreadable images, and returns 1 if it finds any."""
    parsed = parse(PredictArguments, arguments, "predict")
    if not parsed.images:
        raise UsageError("no images: name one or more files or folders after the net")
    check(parsed.top > 0, "--top", parsed.top, "use a number above 0")
    check_json_path(parsed.json)
    from alexnet_jax.commands.trained import load_trained, naming

    net = load_trained(parsed.net, parsed.checkpoint, parsed.variant, parsed.devices)
    from alexnet_jax.training.evaluation import BATCH_SIZE, predict_images

    problems = _Problems()
    files = list(_image_files(parsed.images, problems))
    batch_size = min(BATCH_SIZE, max(1, len(files)))
    predictions: list[dict[str, Any]] = []
    for start in range(0, len(files), batch_size):
        readable, images = _decode(files[start : start + batch_size], net.config, problems)
        if not images:
            continue
        with naming(parsed.net):
            best = predict_images(net.state, net.layout, np.stack(images), batch_size, parsed.views, parsed.top)
        for file, classes in zip(readable, best, strict=True):
            named = [{"class": net.class_name(label), "label": label, "probability": p} for p, label in classes]
            predictions.append({"file": str(file), "classes": named})
            if parsed.json != STDOUT:
                _print(predictions[-1])
    write_json(predictions, parsed.json)
    return 1 if problems.count else 0


class _Problems:
    """Reports problems immediately and counts them."""

    count = 0

    def report(self, message: object) -> None:
        print(f"alexnet: error: {' '.join(str(message).split())}", file=sys.stderr)
        self.count += 1


def _image_files(paths: tuple[Path, ...], problems: _Problems) -> Iterator[Path]:
    """The files among ``paths``, and the image files in the folders among them."""
    from alexnet_jax.data.folder_layout import images_in

    for path in paths:
        if not path.is_dir():
            yield path
            continue
        try:
            yield from images_in(path)
        except AlexNetError as error:
            problems.report(error)


def _decode(files: list[Path], config: TrainConfig, problems: _Problems) -> tuple[list[Path], list[np.ndarray]]:
    """The files that can be read, and their images."""
    from alexnet_jax.data.images import decode_image

    readable, images = [], []
    for file in files:
        try:
            images.append(decode_image(file, config.data.image_size, config.model.channels, config.data.resize))
            readable.append(file)
        except AlexNetError as error:
            problems.report(error)
    return readable, images


def _print(prediction: dict[str, Any]) -> None:
    print(prediction["file"])
    for row in prediction["classes"]:
        print(f"  {row['probability']:7.2%}  {row['class']}")
