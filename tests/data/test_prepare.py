from __future__ import annotations

import dataclasses
import io
import json
import re
import resource
import tarfile

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.images import decode_image
from alexnet_jax.data.measure_statistics import measure_statistics, training_statistics
from alexnet_jax.data.prepare.build import JOURNAL, prepare
from alexnet_jax.data.prepare.collection import Collection, Portion
from alexnet_jax.data.prepare.imagenet2012 import collect_imagenet2012
from alexnet_jax.data.prepare.recipe import Recipe
from alexnet_jax.data.synsets import readable_names, synset_names
from alexnet_jax.errors import AlexNetError, UsageError
from tests.helpers.imagenet import SIZE, TRAIN, VALIDATION, content, opened, picture, tar_of, write_imagenet

RAW, JPEG = (Recipe(SIZE, encoding) for encoding in ("raw", "jpeg"))


@pytest.fixture
def imagenet(tmp_path):
    write_imagenet(tmp_path / "tars")
    return tmp_path / "tars"


def collect(folder, size=SIZE, images_per_shard=2):
    return collect_imagenet2012(folder, size, images_per_shard)


# ImageNet


@pytest.mark.parametrize("recipe", [RAW, JPEG], ids=["raw", "jpeg"])
def test_the_official_tars_are_prepared_as_a_data_set(tmp_path, recipe):
    import tensorflow_datasets as tfds

    images = write_imagenet(tmp_path / "tars")
    journal = prepare(collect(tmp_path / "tars"), recipe, tmp_path, "set")
    assert journal.images == {"train": [5, 5, 5], "validation": [2, 1]}
    data = opened(tmp_path)
    assert (len(data.train), len(data.test)) == (15, 3)
    records = tfds.builder_from_directory(data.where).as_data_source("train")
    for index, name in enumerate(images):
        example = data.train[index]
        assert example["label"] == {"n01440764": 0, "n01443537": 1, "n15075141": 999}[name.split("_")[0]]
        want = decode_image(images[name], SIZE, 3)
        if recipe.encoding == "jpeg":
            stream = io.BytesIO()
            Image.fromarray(want).save(stream, "JPEG", quality=95)
            want = decode_image(stream.getvalue(), SIZE, 3)
        np.testing.assert_array_equal(example["image"], want)
        assert records[index]["file_name"] == name.encode()


def test_squashed_images_keep_their_edges(tmp_path):
    images = write_imagenet(tmp_path / "tars")
    squashed = collect_imagenet2012(tmp_path / "tars", SIZE, 5, resize="squash")
    prepare(squashed, dataclasses.replace(RAW, resize="squash"), tmp_path, "set")
    first = decode_image(next(iter(images.values())), SIZE, 3, "squash")
    np.testing.assert_array_equal(opened(tmp_path).train[0]["image"], first)
    with pytest.raises(UsageError, match="resize was squash and is now crop"):
        prepare(squashed, RAW, tmp_path, "set")


def test_a_journal_without_resize_is_one_of_cropped_images(tmp_path, imagenet):
    journal = prepare(collect(imagenet), RAW, tmp_path, "set")
    content = json.loads(journal.path.read_text())
    del content["plan"]["resize"]
    journal.path.write_text(json.dumps(content))
    assert prepare(collect(imagenet), RAW, tmp_path, "set").finished


def test_classes_have_names_and_the_label_order_of_tfds(tmp_path, imagenet):
    import tensorflow_datasets as tfds

    prepare(collect(imagenet), RAW, tmp_path, "set")
    labels = tfds.builder_from_directory(tmp_path / "set" / "1.0.0").info.features["label"]
    assert labels.names == tfds.core.tfds_path("datasets/imagenet2012/labels.txt").read_text().split()
    names = opened(tmp_path).class_names
    assert (names[0], names[1], names[999]) == ("tench", "goldfish", "toilet tissue")
    assert len(set(names)) == 1000
    assert list(synset_names()) == labels.names


def test_names_that_are_not_all_synsets_are_kept():
    assert readable_names(("n01440764", "cat")) == ("n01440764", "cat")
    assert readable_names(["n01443537", "n01440764"]) == ("goldfish", "tench")


def test_validation_labels_follow_from_the_names_of_the_images(tmp_path):
    import tensorflow_datasets as tfds

    numbers = (1234, 7, 50_000)
    write_imagenet(tmp_path / "tars", validation=numbers)
    prepare(collect(tmp_path / "tars"), RAW, tmp_path, "set")
    labels = tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt").read_text().split()
    test = opened(tmp_path).test
    synsets = list(synset_names())
    assert [synsets[test[index]["label"]] for index in range(3)] == [labels[number - 1] for number in numbers]
    for index, number in enumerate(numbers):
        np.testing.assert_array_equal(test[index]["image"], decode_image(picture(number), SIZE, 3))


def test_statistics_are_those_of_all_training_images(tmp_path):
    images = write_imagenet(tmp_path / "tars", damage=["n01440764_0.JPEG"])
    del images["n01440764_0.JPEG"]
    pixels = np.stack([decode_image(image, SIZE, 3) for image in images.values()]).astype(np.float64)
    covariance = np.cov(pixels.reshape(-1, 3).T, bias=True)
    for recipe in (RAW, JPEG):
        prepare(collect(tmp_path / "tars"), recipe, tmp_path, recipe.encoding)
        data = opened(tmp_path, recipe.encoding)
        config = DataConfig(image_size=SIZE)
        for per_pixel, axes in ((True, 0), (False, (0, 1, 2))):
            kept = training_statistics(data, config, 3, per_pixel)
            np.testing.assert_allclose(kept.mean, pixels.mean(axes), rtol=1e-6)
            np.testing.assert_allclose(kept.colour_covariance, covariance, rtol=1e-6)
        statistics = json.loads((data.where / JOURNAL).read_text())["statistics"]
        np.testing.assert_allclose(statistics["channel_means"], pixels.mean((0, 1, 2)))
        values, vectors = np.array(statistics["colour_eigenvalues"]), np.array(statistics["colour_eigenvectors"])
        np.testing.assert_allclose(vectors.T @ np.diag(values) @ vectors, covariance)
        assert (np.diff(values) < 0).all()


def test_stored_statistics_are_used_only_for_their_own_images(tmp_path, imagenet):
    prepare(collect(imagenet), RAW, tmp_path, "set")
    for changes, channels in (({"image_size": 16}, 3), ({"train_split": "train[:5]"}, 3), ({}, 1)):
        config = dataclasses.replace(DataConfig(image_size=SIZE, test_split="validation"), **changes)
        config = dataclasses.replace(config, dataset="set", data_dir=str(tmp_path))
        data = open_dataset(config, channels)
        assert data.train[0]["image"].shape == (config.image_size, config.image_size, channels)
        used, measured = training_statistics(data, config, channels, True), measure_statistics(data.train, True)
        np.testing.assert_array_equal(used.mean, measured.mean)


def test_damaged_images_are_counted_and_named(tmp_path):
    names = ["n01440764_0.JPEG", "n01443537_4.JPEG"]
    write_imagenet(tmp_path / "tars", damage=names)
    journal = prepare(collect(tmp_path / "tars"), JPEG, tmp_path, "set")
    assert journal.images["train"] == [4, 4, 5]
    written = json.loads((tmp_path / "set" / "1.0.0" / JOURNAL).read_text())["damaged"]["train"]
    assert [image["name"] for image in written] == names
    assert "truncated" in written[0]["reason"] or "broken" in written[0]["reason"]
    assert len(opened(tmp_path).train) == 13


def test_missing_synsets_are_reported_and_not_refused(imagenet):
    remarks = " ".join(collect(imagenet).remarks)
    assert re.search(r"997 of 1,000 synsets have no training images: n01484850, .*\.\.\.", remarks)
    assert "49,997 of 50,000 validation images are missing" in remarks


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        (TRAIN, {"n00000000.tar": b""}, "n00000000.tar, which is not one of the 1,000 synsets"),
        (TRAIN, {"ILSVRC2012_val_00000001.JPEG": b"1"}, "and not a tar for each synset"),
        (VALIDATION, {"n01440764.tar": b"1"}, "n01440764.tar, which is not a validation image"),
        (VALIDATION, {"ILSVRC2012_val_00050001.JPEG": b"1"}, "00050001.JPEG, which is not a validation image"),
        (VALIDATION, {"ILSVRC2012_val_00000000.JPEG": b"1"}, "00000000.JPEG, which is not a validation image"),
    ],
)
def test_other_tars_are_refused(imagenet, name, files, message):
    (imagenet / name).write_bytes(tar_of(files))
    with pytest.raises(AlexNetError, match=message):
        collect(imagenet)


@pytest.mark.parametrize("name", [TRAIN, VALIDATION])
def test_missing_tars_and_files_that_are_not_tars_are_refused(imagenet, name):
    (imagenet / name).write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(AlexNetError, match=f"{name}: truncated, or not a tar"):
        collect(imagenet)
    (imagenet / name).unlink()
    with pytest.raises(AlexNetError, match=f"has no {name}"):
        collect(imagenet)


def test_tfds_finds_its_own_builder_for_a_prepared_set(tmp_path, imagenet):
    import tensorflow_datasets as tfds

    prepare(collect(imagenet), RAW, tmp_path, "set")
    records = tfds.builder("set", data_dir=tmp_path).as_data_source("validation")
    data = opened(tmp_path)
    assert [example["label"] for example in records] == [data.test[index]["label"] for index in range(3)]


@pytest.mark.parametrize("name", [TRAIN, VALIDATION])
def test_a_truncated_tar_is_refused(imagenet, name):
    whole = (imagenet / name).read_bytes()
    with tarfile.open(imagenet / name) as tar:
        end = tar.getmembers()[-1].offset_data + tar.getmembers()[-1].size
        first = tar.getmembers()[1].offset
    for length in (0, 100, first, first + 512, first + 700, end - 1, -(-end // 512) * 512):
        (imagenet / name).write_bytes(whole[:length])
        with pytest.raises(AlexNetError, match=f"{name}: truncated"):
            collect(imagenet)


def test_a_damaged_synset_tar_is_refused_and_earlier_shards_are_kept(tmp_path, imagenet):
    whole = (imagenet / TRAIN).read_bytes()
    with tarfile.open(imagenet / TRAIN) as tar:
        second = tar.getmembers()[1].offset_data
    with tarfile.open(fileobj=io.BytesIO(whole[second:])) as tar:
        inner = tar.getmembers()[2].offset
    (imagenet / TRAIN).write_bytes(whole[: second + inner] + b"x" * 512 + whole[second + inner + 512 :])
    with pytest.raises(AlexNetError, match=r"n01443537\.tar: truncated or damaged at byte"):
        prepare(collect(imagenet), RAW, tmp_path, "set")
    assert [file.name for file in (tmp_path / "set" / "1.0.0").glob("*array_record*")] == [
        "set-train.array_record-00000-of-00003"
    ]


def test_an_image_in_the_tar_of_another_synset_is_refused(tmp_path, imagenet):
    (imagenet / TRAIN).write_bytes(tar_of({"n01440764.tar": tar_of({"n01443537_1.JPEG": picture(0)})}))
    with pytest.raises(AlexNetError, match=r"n01440764\.tar holds n01443537_1\.JPEG of another synset"):
        prepare(collect(imagenet), RAW, tmp_path, "set")


def test_a_split_without_readable_images_is_refused(tmp_path, imagenet):
    (imagenet / VALIDATION).write_bytes(tar_of({"ILSVRC2012_val_00000001.JPEG": b"no picture"}))
    with pytest.raises(AlexNetError, match="no image of the split 'validation' could be read"):
        prepare(collect(imagenet), RAW, tmp_path, "set")
    assert not (tmp_path / "set" / "1.0.0" / "dataset_info.json").exists()


# Stopping and resuming


def test_a_resumed_preparation_writes_the_same_bytes(tmp_path, imagenet):
    whole = prepare(collect(imagenet), JPEG, tmp_path / "whole", "set", threads=1)
    folder = tmp_path / "stopped" / "set" / "1.0.0"

    def go_on(stop_at):
        seen = []
        journal = prepare(
            collect(imagenet), JPEG, tmp_path / "stopped", "set", threads=3,
            on_image=lambda done, expected: seen.append(done), should_stop=lambda: bool(seen) and seen[-1] == stop_at,
        )  # fmt: skip
        return journal, seen

    journal, _ = go_on(7)
    assert not journal.finished
    first = folder / "set-train.array_record-00000-of-00003"
    assert [file for file in folder.iterdir() if file.name != JOURNAL] == [first]
    inode = first.stat().st_ino
    assert go_on(16)[1][0] == 6  # the first five images are not read again
    journal, seen = go_on(None)
    assert journal.finished
    assert seen == [16, 17, 18]
    assert first.stat().st_ino == inode
    assert content(folder) == content(whole.path.parent)
    assert prepare(collect(imagenet), JPEG, tmp_path / "stopped", "set").images == journal.images  # nothing to do


def test_another_preparation_in_the_same_folder_is_refused(tmp_path, imagenet):
    prepare(collect(imagenet), JPEG, tmp_path, "set")
    with pytest.raises(UsageError, match="encoding was jpeg and is now raw"):
        prepare(collect(imagenet), RAW, tmp_path, "set")
    write_imagenet(imagenet, validation=(2, 3))
    with pytest.raises(UsageError, match=r"source was"):
        prepare(collect(imagenet), JPEG, tmp_path, "set")
    (tmp_path / "set" / "1.0.0" / JOURNAL).write_text("{")
    with pytest.raises(AlexNetError, match=r"preparation\.json: damaged"):
        prepare(collect(imagenet), JPEG, tmp_path, "set")
    (tmp_path / "set" / "1.0.0" / JOURNAL).unlink()
    with pytest.raises(UsageError, match="holds other files"):
        prepare(collect(imagenet), JPEG, tmp_path, "set")


def test_one_process_prepares_a_data_set_at_a_time(tmp_path, imagenet):
    def prepare_again(*_):
        with pytest.raises(UsageError, match="another process is preparing this data set; wait for its end, or stop"):
            prepare(collect(imagenet), RAW, tmp_path, "set")

    prepare(collect(imagenet), RAW, tmp_path, "set", on_image=prepare_again)
    assert len(opened(tmp_path).train) == 15


def test_a_missing_finished_shard_is_reported(tmp_path, imagenet):
    done = []
    prepare(
        collect(imagenet), RAW, tmp_path, "set", on_image=lambda *_: done.append(1), should_stop=lambda: len(done) > 6
    )
    (shard,) = (tmp_path / "set" / "1.0.0").glob("*array_record*")
    shard.unlink()
    with pytest.raises(AlexNetError, match=f"{shard.name}: this finished shard is missing"):
        prepare(collect(imagenet), RAW, tmp_path, "set")


def test_too_little_space_is_reported_before_anything_is_written(tmp_path):
    vast = Collection(("cat",), {"train": (Portion(10**12, list),)}, "vast", "A trillion images.")
    with pytest.raises(AlexNetError, match=r"about 1,728,000\.0 GB are needed and .* GB are free; .* --encoding jpeg"):
        prepare(vast, RAW, tmp_path / "out", "set")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_reported_and_the_preparation_resumes(tmp_path, imagenet):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, before[1]))  # the journal takes 120,000 bytes, a shard 450,000
    try:
        with pytest.raises(AlexNetError, match=r"cannot be written .*the same command resumes"):
            prepare(collect(imagenet, 100, 4000), Recipe(100, "raw"), tmp_path, "set")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert prepare(collect(imagenet, 100, 4000), Recipe(100, "raw"), tmp_path, "set").finished
