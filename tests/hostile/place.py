"""A directory with a run, images, weights and hostile files, which the tables name by relative paths."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
from onnx import save as save_onnx
from PIL import Image

from alexnet_jax.config import ConvConfig, DataConfig, DenseConfig, ModelConfig, ScheduleConfig, TrainConfig
from alexnet_jax.weights.channels_first import layer_shapes
from alexnet_jax.weights.read import load_run
from alexnet_jax.weights.safetensors import write_weights
from tests.helpers.references import REFERENCES, tiny
from tests.helpers.run_directories import write_run
from tests.helpers.zoo import drawn_layers, zoo_graph, zoo_model

CLASSES = ("cat", "dog")


def make_place(root: Path) -> Path:
    """Fills an empty directory."""
    _photos(root / "photos")
    config = TrainConfig(
        model=ModelConfig(
            convs=(ConvConfig(8, 5, padding=2, then=("relu", "max_pool")),),
            dense=(DenseConfig(8),),
            classes=len(CLASSES),
            image_size=14,
        ),
        data=DataConfig(dataset=str(root / "photos"), image_size=16, train_examples=12),
        schedule=ScheduleConfig("steps"),
        batch_size=4,
        epochs=1,
    )
    write_run(root / "run", config, CLASSES)
    write_weights(load_run(root / "run"), root / "net.safetensors", "alexnet_jax")
    shutil.copy(REFERENCES / "caffe" / "tiny_caffe_alexnet.caffemodel", root / "net.caffemodel")
    shutil.copy(REFERENCES / "caffe" / "tiny_mean.binaryproto", root / "mean.binaryproto")
    shutil.copy(REFERENCES / "torch" / "tiny_torchvision.pth", root / "net.pth")
    with h5py.File(root / "net.h5", "w") as file:  # the sample for damaged files
        file["images"] = np.zeros((5, 16, 16, 3), np.uint8)
        file["floats"] = np.zeros((5, 16), np.float32)
    save_onnx(zoo_model(drawn_layers(layer_shapes(tiny("caffe_alexnet")))), root / "net.onnx")
    for suffix in (
        "safetensors",
        "caffemodel",
        "onnx",
        "pth",
        "pt",
        "binaryproto",
        "json",
        "png",
        "jpg",
        "webp",
        "tar",
        "h5",
    ):
        _hostile_files(root, suffix)
    _weights(root)
    _configs(root)
    _folders(root)
    return root


def _photos(root: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for kind in CLASSES:
            (root / split / kind).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / kind / f"{index}.png")


def _hostile_files(root: Path, suffix: str) -> None:
    """empty, binary, text, truncated, directory, loop, dangling and pipe, with the suffix."""
    (root / f"empty.{suffix}").touch()
    (root / f"binary.{suffix}").write_bytes(np.random.default_rng(1).bytes(3000))
    (root / f"text.{suffix}").write_text("Not Found\n")
    (root / f"zeros.{suffix}").write_bytes(bytes(3000))
    (root / f"directory.{suffix}").mkdir()
    (root / f"loop.{suffix}").symlink_to(f"loop.{suffix}")
    (root / f"dangling.{suffix}").symlink_to("nowhere")
    os.mkfifo(root / f"pipe.{suffix}")
    sample = root / f"net.{suffix}" if (root / f"net.{suffix}").exists() else root / "photos/train/cat/0.png"
    (root / f"truncated.{suffix}").write_bytes(sample.read_bytes()[:-40])
    changed = bytearray(sample.read_bytes())
    changed[4:8] = b"\xff\xff\xff\x7f"
    (root / f"changed.{suffix}").write_bytes(changed)


def _weights(root: Path) -> None:
    def safetensors(name: str, header: object, data: bytes = b"") -> None:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        (root / name).write_bytes(struct.pack("<Q", len(text)) + text + data)

    tensor = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    safetensors("header.safetensors", b"{")
    safetensors("list.safetensors", [1, 2])
    safetensors("latin.safetensors", b"\xe9\xff")
    safetensors("none.safetensors", {})
    safetensors("offsets.safetensors", {"a": tensor | {"data_offsets": [0, 1 << 40]}}, bytes(8))
    safetensors("shape.safetensors", {"a": tensor | {"shape": [1 << 62, 8]}}, bytes(8))
    safetensors("negative.safetensors", {"a": tensor | {"shape": [-1]}}, bytes(8))
    safetensors("dtype.safetensors", {"a": tensor | {"dtype": "Q77"}}, bytes(8))
    safetensors("foreign.safetensors", {"transformer.weight": tensor}, bytes(8))
    safetensors("metadata.safetensors", {"__metadata__": {"config": "{}"}, "conv1/kernel": tensor}, bytes(8))
    (root / "huge_header.safetensors").write_bytes(struct.pack("<Q", 1 << 62))
    save_onnx(zoo_graph(), root / "untrained.onnx")
    zipped = {
        "bomb.pth": {"archive/data.pkl": bytes(200 << 20)},
        "no_pickle.pth": {"archive/other": b"x"},
        "code.pth": {"archive/data.pkl": b"cos\nsystem\n(S'touch owned'\ntR."},
        "loop_pickle.pth": {"archive/data.pkl": b"\x80\x02]q\x00h\x00a."},
        "number.pth": {"archive/data.pkl": b"\x80\x02K\x01."},
        "module.pth": {"archive/data.pkl": b"\x80\x02ctorch.nn\nModule\n)\x81."},
    }
    for name, entries in zipped.items():
        with zipfile.ZipFile(root / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry, content in entries.items():
                archive.writestr(entry, content)
    (root / "pickle.pth").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")


def _configs(root: Path) -> None:
    texts = {
        "list": "[]",
        "null": "null",
        "number": "3",
        "broken": '{"epochs": 3',
        "unknown": '{"epoch": 3}',
        "unknown_model": '{"model": {"clases": 3}}',
        "text_number": '{"epochs": "3"}',
        "fraction": '{"epochs": 1.5}',
        "nan": '{"optimizer": {"learning_rate": NaN}}',
        "infinite": '{"optimizer": {"learning_rate": Infinity}}',
        "negative": '{"batch_size": -8}',
        "null_model": '{"model": null}',
        "text_model": '{"model": "paper"}',
        "null_convs": '{"model": {"convs": null}}',
        "no_convs": '{"model": {"convs": []}}',
        "text_conv": '{"model": {"convs": ["conv"]}}',
        "empty_conv": '{"model": {"convs": [{}]}}',
        "unknown_operation": '{"model": {"convs": [{"features": 8, "kernel_size": 3, "then": ["gelu"]}]}}',
        "huge_kernel": '{"model": {"convs": [{"features": 8, "kernel_size": 3000}]}}',
        "huge_stride": '{"model": {"convs": [{"features": 8, "kernel_size": 3, "stride": 1000000000000}]}}',
        "zero_stride": '{"model": {"convs": [{"features": 8, "kernel_size": 3, "stride": 0}]}}',
        "true": '{"epochs": true}',
        "duplicate_frozen": '{"optimizer": {"frozen": "conv1"}}',
        "layer_rates": '{"schedule": {"layer_rates": [["conv1", 1]]}}',
        "descending": '{"schedule": {"epochs": [3, 2]}}',
        "dtype": '{"dtype": "float16"}',
        "deep": "[" * 100_000 + "]" * 100_000,
        "digits": '{"epochs": ' + "9" * 5000 + "}",
        "surrogate": '{"data": {"dataset": "\\ud800"}}',
        "nul": '{"data": {"dataset": "a\\u0000b"}}',
    }
    for name, text in texts.items():
        (root / f"config_{name}.json").write_text(text)
    (root / "config_latin.json").write_bytes(b'{"seed": "\xe9"}')
    (root / "config_utf16.json").write_bytes('{"epochs": 3}'.encode("utf-16"))


def _folders(root: Path) -> None:
    (root / "no_classes").mkdir()
    (root / "one_class" / "cat").mkdir(parents=True)
    shutil.copytree(root / "photos" / "train" / "cat", root / "only_cats" / "cat")
    for kind in CLASSES:
        (root / "one_image" / kind).mkdir(parents=True)
    shutil.copy(root / "photos" / "train" / "cat" / "0.png", root / "one_image" / "cat")
    for kind in CLASSES:
        (root / "no_images" / kind).mkdir(parents=True)
        (root / "only_train" / "train" / kind).mkdir(parents=True)
        shutil.copytree(root / "photos" / "train" / kind, root / "flat" / kind)
        shutil.copytree(root / "photos" / "train" / kind, root / "damaged" / kind)
    for image in (root / "damaged").rglob("*.png"):
        image.write_bytes(b"no image")
    shutil.copytree(root / "photos", root / "other_classes")
    (root / "other_classes" / "test" / "dog").rename(root / "other_classes" / "test" / "fish")
    loop = root / "linked_loop" / "cat"
    loop.mkdir(parents=True)
    (loop.parent / "dog").mkdir()
    (loop / "again").symlink_to("..")
    (root / "not_tfds").mkdir()
    (root / "not_tfds" / "dataset_info.json").write_text("{")
    (root / "wide.png").write_bytes(_png_header(2_000_000_000, 2_000_000_000))
    (root / "name\nwith\nlines.png").write_bytes(b"no image")
    (root / "ünï😀.png").write_bytes(b"no image")
    (root / os.fsdecode(b"latin\xe9.png")).write_bytes(b"no image")


def _png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def contents(root: Path) -> dict[str, str]:
    """A digest of each file, and what else there is, by its path."""

    def describe(path: Path) -> str:
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            return hashlib.blake2b(path.read_bytes()).hexdigest()
        return f"{stat.S_IFMT(mode)}"

    entries = (Path(folder) / name for folder, folders, files in os.walk(root) for name in (*folders, *files))
    return {str(entry): describe(entry) for entry in entries if entry.name != ".lease.lock"}
