"""ImageNet's official tars in miniature."""

from __future__ import annotations

import dataclasses
import functools
import gzip
import io
import tarfile

import numpy as np
from PIL import Image
from scipy.io import savemat

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


SYNSETS_2010 = tuple(f"n{20_000_000 + number * 7919 % 1000:08d}" for number in range(1, 1001))
"""The synsets of ILSVRC2010_IDs 1 to 1,000, which are not in the order of the IDs."""


def label_2010(number):
    """The label of an ILSVRC2010_ID."""
    return sorted(SYNSETS_2010).index(SYNSETS_2010[number - 1])


def class_2010(number):
    """The ILSVRC2010_ID of a validation or test image, from its number."""
    return number * 31 % 1000 + 1


@functools.cache
def ground_truth_2010(count):
    return "".join(f"{class_2010(number)}\n" for number in range(1, count + 1)).encode()


@functools.cache
def meta_2010(synsets=SYNSETS_2010):
    """``meta.mat`` with two ancestors after the classes."""
    entries = [*enumerate(synsets, 1), (len(synsets) + 1, "n00001740"), (len(synsets) + 2, "n00001930")]
    dtype = [("ILSVRC2010_ID", object), ("WNID", object)]
    stream = io.BytesIO()
    savemat(stream, {"synsets": np.array(entries, dtype)[:, None]})
    return stream.getvalue()


@functools.cache
def devkit_2010(**changes):
    files = {"meta": meta_2010(), "validation": ground_truth_2010(50_000)} | changes
    names = {"meta": "meta.mat", "validation": "ILSVRC2010_validation_ground_truth.txt"}
    inside = {f"devkit-1.0/data/{names[key]}": part for key, part in files.items() if part is not None}
    return gzip.compress(tar_of({"devkit-1.0/readme.txt": b"text"} | inside))


def write_imagenet2010(folder, numbers=(1, 2, 1234)):
    """Writes ILSVRC2010's files in miniature. Returns the images by name, as they should be prepared.

    One training image is gzipped, and a blank image of each split is replaced by ``patch_images.tar``.
    """
    folder.mkdir(exist_ok=True)
    images = {SYNSETS_2010[number]: synset_images(SYNSETS_2010[number], number) for number in (0, 500, 999)}
    flat = {
        split: {f"ILSVRC2010_{split}_{number:08d}.JPEG": picture(number + offset) for number in numbers}
        for split, offset in (("val", 0), ("test", 10_000))
    }
    train = {name: content for part in images.values() for name, content in part.items()}
    blank = {"train": f"{SYNSETS_2010[500]}_1.JPEG"} | {split: min(part) for split, part in flat.items()}
    patches = {f"patch_images/{split}/{name}": picture(20_000 + len(split)) for split, name in blank.items()}
    stored = {synset: dict(part) for synset, part in images.items()}
    zipped = f"{SYNSETS_2010[999]}_0.JPEG"
    stored[SYNSETS_2010[999]][zipped] = gzip.compress(train[zipped])
    (folder / "ILSVRC2010_images_train.tar").write_bytes(
        tar_of({f"{synset}.tar": tar_of(part) for synset, part in stored.items()})
    )
    for split, part in flat.items():
        inside = {f"{split}/{name}": content for name, content in part.items()}
        (folder / f"ILSVRC2010_images_{split}.tar").write_bytes(tar_of(inside))
    (folder / "patch_images.tar").write_bytes(tar_of({"patch_images/readme.txt": b"text"} | patches))
    (folder / "ILSVRC2010_devkit-1.0.tar.gz").write_bytes(devkit_2010())
    (folder / "ILSVRC2010_test_ground_truth.txt").write_bytes(ground_truth_2010(150_000))
    replaced = {name.split("/")[-1]: content for name, content in patches.items()}
    return train | flat["val"] | flat["test"] | replaced
