"""ImageNet's official tars in miniature."""

from __future__ import annotations

import dataclasses
import io
import tarfile

import numpy as np
from PIL import Image

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset

SIZE = 24


SYNSETS = ("n01440764", "n01443537", "n15075141")  # labels 0, 1 and 999


TRAIN, VALIDATION = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"


def picture(seed, mode="RGB", kind="JPEG"):
    rng = np.random.default_rng(seed)
    width, height = rng.integers(30, 90, 2)
    coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    stream = io.BytesIO()
    coarse.resize((int(width), int(height)), Image.Resampling.BICUBIC).convert(mode).save(stream, kind)
    return stream.getvalue()


def tar_of(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def synset_images(synset, label):
    """Five images of the kinds that the official tars hold."""
    kinds = ({}, {"mode": "CMYK"}, {"kind": "PNG"}, {"mode": "L"}, {})
    return {f"{synset}_{index}.JPEG": picture(10 * label + index, **kind) for index, kind in enumerate(kinds)}


def write_imagenet(folder, synsets=SYNSETS, validation=(1, 7, 1234), damage=()):
    """Writes the two tars in miniature. Returns the training images by name."""
    folder.mkdir(exist_ok=True)
    images = {synset: synset_images(synset, label) for label, synset in enumerate(synsets)}
    for name in damage:
        part = images[name.split("_")[0]]
        part[name] = part[name][: len(part[name]) // 2]
    (folder / TRAIN).write_bytes(tar_of({f"{synset}.tar": tar_of(part) for synset, part in images.items()}))
    photos = {f"ILSVRC2012_val_{number:08d}.JPEG": picture(number) for number in validation}
    (folder / VALIDATION).write_bytes(tar_of(photos))
    return {name: content for part in images.values() for name, content in part.items()}


def opened(data_dir, name="set", **changes):
    config = DataConfig(dataset=name, data_dir=str(data_dir), image_size=SIZE, test_split="validation")
    return open_dataset(dataclasses.replace(config, **changes), 3)


def content(folder):
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
