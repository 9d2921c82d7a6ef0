"""Images to read features of: folders, arrays of HDF5 files, splits of data sets."""

from __future__ import annotations

import re

import h5py
import numpy as np
import pytest
from PIL import Image

from alexnet_jax.config import DataConfig
from alexnet_jax.data.image_array import split_array_name
from alexnet_jax.data.open_images import open_images
from alexnet_jax.errors import AlexNetError, UsageError

CONFIG = DataConfig(image_size=32)


def opened(name, split=None, channels=3):
    return open_images(str(name), CONFIG, channels, split, "test")


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 48, 40, 3), dtype=np.uint8)


def test_a_folder_is_read_in_the_order_of_its_paths(tmp_path, pixels):
    for index, name in enumerate(("b/2.png", "b/10.png", "a.PNG", "b/.hidden.png", "c/d/e.png")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[index]).save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    source = opened(tmp_path)
    assert [source.name(index) for index in range(len(source))] == ["a.PNG", "b/10.png", "b/2.png", "c/d/e.png"]
    assert source.image_shape == source[0]["image"].shape == (32, 32, 3)


def test_unusual_images_are_read_as_predict_reads_them(tmp_path):
    """16 bits, transparency, an animation, a rotation by EXIF, grey and another size give the plain image."""
    grey = np.random.default_rng(1).integers(0, 256, (32, 32), dtype=np.uint8)
    plain = Image.fromarray(grey)
    plain.save(tmp_path / "0_grey.png")
    Image.fromarray(grey.astype(np.uint16) * 256 + 7).save(tmp_path / "1_sixteen.png")
    transparent = plain.convert("RGBA")
    transparent.putalpha(100)
    transparent.save(tmp_path / "2_alpha.png")
    other = Image.fromarray(255 - grey)
    plain.convert("RGB").save(tmp_path / "3_frames.png", save_all=True, append_images=[other.convert("RGB")])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    plain.convert("RGB").transpose(Image.Transpose.ROTATE_90).save(tmp_path / "4_turned.png", exif=exif)
    plain.resize((64, 64), Image.Resampling.NEAREST).save(tmp_path / "5_size.png")
    source = opened(tmp_path)
    for index in range(5):
        np.testing.assert_array_equal(source[index]["image"], source[0]["image"], err_msg=source.name(index))
    assert source[5]["image"].shape == (32, 32, 3)


def test_an_array_of_a_file_is_read_and_resized(tmp_path, pixels):
    with h5py.File(tmp_path / "stimuli.hdf5", "w") as file:
        file["imgBrick"] = pixels
        file["grey"] = pixels[..., 0]
    source = opened(f"{tmp_path}/stimuli.hdf5:/imgBrick")
    assert (len(source), source.name(2)) == (6, "/imgBrick[2]")
    Image.fromarray(pixels[2]).save(tmp_path / "one.png")
    np.testing.assert_array_equal(source[2]["image"], opened(tmp_path)[0]["image"])
    assert opened(f"{tmp_path}/stimuli.hdf5:grey")[0]["image"].shape == (32, 32, 3)
    assert opened(f"{tmp_path}/stimuli.hdf5:grey", channels=1)[0]["image"].shape == (32, 32, 1)


def test_a_split_of_a_data_set():
    assert (len(opened("cifar10_sample")), len(opened("cifar10_sample", "train"))) == (1000, 5000)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.h5:/b", ("a.h5", "/b")),
        ("a.h5:b.h5:/c", ("a.h5:b.h5", "/c")),
        ("d/a.hdf5", ("d/a.hdf5", "")),
        ("photos", None),
        ("cifar10:3.0.0", None),
    ],
)
def test_names_of_arrays(name, parts):
    found = split_array_name(name)
    assert (found if found is None else (str(found[0]), found[1])) == parts


def test_wrong_names_and_files_are_one_line(tmp_path, pixels):
    file = tmp_path / "stimuli.hdf5"
    with h5py.File(file, "w") as writing:
        writing["group/imgBrick"] = pixels
        writing["floats"] = pixels.astype(np.float32)
        writing["first"] = pixels.transpose(0, 3, 1, 2)
    (tmp_path / "truncated.h5").write_bytes(file.read_bytes()[:4000])
    (tmp_path / "text.h5").write_text("no HDF5")
    (tmp_path / "one.png").touch()
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    (tmp_path / "folder").mkdir()
    for name, error, text in (
        (file, UsageError, "which of its arrays? Name one of "),
        (f"{file}:/group/imgBrik", UsageError, "unknown array '/group/imgBrik': did you mean /group/imgBrick"),
        (f"{file}:/group", UsageError, "unknown array '/group'"),
        (f"{file}:/floats", AlexNetError, "dtype float32; use uint8 (images, height, width, 3)"),
        (f"{file}:/first", AlexNetError, "in this order of axes"),
        (tmp_path / "truncated.h5", AlexNetError, "is truncated, a part at the end is missing; copy it again"),
        (tmp_path / "text.h5", AlexNetError, "is not an HDF5 file"),
        (tmp_path / "missing.h5", AlexNetError, "no such file; name an HDF5 file"),
        (tmp_path / "empty.h5", AlexNetError, "has no arrays"),
        (tmp_path / "one.png", UsageError, "is a file; name a folder of images"),
        (tmp_path / "folder", AlexNetError, "no images in this folder"),
        ("nothing", UsageError, "unknown data set 'nothing'"),
    ):
        with pytest.raises(error, match=re.escape(text)):
            opened(name)
    with pytest.raises(UsageError, match="--split is train: only data sets have splits"):
        opened(tmp_path, "train")


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(
        AlexNetError, match=r"a\.png: not a readable image .*; restore it, or remove it and start again"
    ):
        opened(tmp_path)[0]
