"""``alexnet prepare`` from end to end."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time

import jax
import numpy as np
import pytest
from array_record.python.array_record_module import ArrayRecordReader

from alexnet_jax.commands import prepare as prepare_command
from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.prepare.collection import collect_dataset
from alexnet_jax.data.synsets import synset_names
from alexnet_jax.data.tfds_source import PACKAGED
from alexnet_jax.hints import command
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.weights.safetensors import write_weights
from alexnet_jax.weights.weights import Weights
from tests.helpers.command import alexnet
from tests.helpers.imagenet import SIZE, TRAIN, content, opened, write_imagenet
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.slow import slow


@pytest.mark.slow
def test_two_processes_write_the_same_bytes(tmp_path):
    from tensorflow_datasets.proto import tf_example_pb2

    write_imagenet(tmp_path / "tars")
    arguments = ["prepare", "imagenet2012", "--source", str(tmp_path / "tars"), "--image_size", str(SIZE), "--data_dir"]
    for number in (1, 2):
        other = subprocess.run([sys.executable, "-m", "alexnet_jax", *arguments, tmp_path / str(number)])
        assert other.returncode == 0
    done = alexnet(*arguments, tmp_path / "here")
    assert done.returncode == 0
    assert "images    15 train, 3 validation, 24 x 24 pixels, jpeg, 0.00 GB" in done.stdout
    assert "alexnet train --preset quickstart --data.dataset imagenet2012_24" in done.stdout
    assert content(tmp_path / "here") == content(tmp_path / "1") == content(tmp_path / "2")
    for split in ("train", "validation"):  # protobuf orders the entries of a map randomly in each process
        shard = tmp_path / "here" / "imagenet2012_24" / "1.0.0" / f"imagenet2012_24-{split}.array_record-00000-of-00001"
        for record in ArrayRecordReader(str(shard)).read_all():
            assert record == tf_example_pb2.Example.FromString(record).SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ("photos/My Photos", "my_photos"),
        ("cifar10_sample:1.0.0", "cifar10_sample"),
        (str(PACKAGED / "cifar10_sample" / "1.0.0"), "cifar10_sample"),
        ("2012 photos", "data_2012_photos"),
        ("фото", "data"),
    ],
)
def test_the_default_name_is_that_of_the_source(dataset, name):
    assert prepare_command._name_of(dataset) == name


def test_a_folder_and_a_tfds_set_are_prepared_by_one_command_each(tmp_path, photos):
    import tensorflow_datasets as tfds

    folder = photos("My Photos", per_class=10)
    (folder / "cat" / "3.png").write_bytes(b"no picture")
    arguments = ["--data-dir", tmp_path, "--image_size", SIZE, "--encoding", "raw"]
    done = alexnet("prepare", "folder", "--source", folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "images    1" in done.stdout
    assert re.search(r"^damaged   \w+: cat/3.png \(cannot identify the format\), left out$", done.stdout, re.MULTILINE)
    data, plain = opened(tmp_path, "my_photos_24_raw", test_split="test"), opened(None, str(folder))
    assert data.class_names == ("cat", "dog")
    assert len(data.train) + len(data.test) == 19
    records = tfds.builder_from_directory(data.where).as_data_source("train")
    stored = {example["file_name"].decode(): example for example in records}
    for index in range(len(plain.train)):
        if (name := plain.train.name(index)) != "cat/3.png":
            np.testing.assert_array_equal(stored[name]["image"], plain.train[index]["image"])
            assert stored[name]["label"] == plain.train[index]["label"]

    arguments = ["--source", tmp_path, "--data_dir", tmp_path, "--image_size", 16, "--name", "smaller"]
    done = alexnet("prepare", "tfds", "my_photos_24_raw", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    smaller = opened(tmp_path, "smaller", test_split="test", image_size=16)
    assert len(smaller.train) == len(data.train)
    assert [smaller.train[i]["label"] for i in range(5)] == [data.train[i]["label"] for i in range(5)]
    assert smaller.class_names == data.class_names


@pytest.mark.parametrize(
    ("size", "options"),
    [
        slow(20, ["--validation_fraction", 0.2]),
        (32, []),
        slow(128, ["--encoding", "raw"]),
    ],
)
def test_the_next_command_works_as_printed(tmp_path, photos, size, options):
    folder = photos("my photos", per_class=10)
    (folder / "cat" / "notes.txt").touch()
    prepare = ["prepare", "folder", "--source", folder, "--data_dir", tmp_path / "data sets", "--image_size", size]
    done = alexnet(*prepare, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 file(s) ignored (cat/notes.txt)" in done.stdout
    *_, next_line, hint = done.stdout.splitlines()
    words = shlex.split(hint)
    assert (next_line, words[: words.index("train") + 1]) == ("next", shlex.split(command("train")))
    preset = "photos" if size == 128 else "quickstart"
    assert words[words.index("train") + 1 :][:2] == ["--preset", preset]
    run = ["--workdir", tmp_path / "run", "--epochs", 1, "--batch_size", 8]
    trained = alexnet(*words[words.index("train") :], *run)
    assert (trained.returncode, trained.stderr) == (0, "")
    assert ("to validate" in trained.stdout) == (size == 20)


def test_a_collection_of_a_data_set_has_its_splits_in_portions(photos):
    data = open_dataset(DataConfig(dataset=str(photos(per_class=10)), validation_fraction=0.2), 3)
    collection = collect_dataset(data, 5)
    assert {split: [part.images for part in parts] for split, parts in collection.splits.items()} == {
        "train": [5, 5, 4],
        "test": [2],
        "validation": [4],
    }
    assert collect_dataset(data, 6).fingerprint != collection.fingerprint


def test_the_same_command_resumes_after_ctrl_c(monkeypatch, tmp_path, photos):
    folder = photos(per_class=150)
    monkeypatch.setattr(prepare_command, "IMAGES_PER_SHARD", 4)
    written = tmp_path / "out" / "photos_24" / "1.0.0"

    def interrupt():
        while not any(written.glob("photos*")):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGINT)

    arguments = ["prepare", "folder", "--source", folder, "--data_dir", tmp_path / "out", "--image_size", SIZE]
    threading.Thread(target=interrupt, daemon=True).start()
    done = alexnet(*arguments)
    assert done.returncode == 130
    assert re.search(r"^stopped after \d+ images; run the same command to resume$", done.stdout, re.MULTILINE)
    assert not (written / "dataset_info.json").exists()
    shards = len(list(written.glob("photos*")))
    assert 0 < shards < 75
    done = alexnet(*arguments)
    assert done.returncode == 0
    assert "images    270 train, 30 test" in done.stdout


@pytest.mark.slow
def test_validation_only_needs_no_training_tar(tmp_path):
    write_imagenet(tmp_path / "tars")
    (tmp_path / "tars" / TRAIN).unlink()
    arguments = ["prepare", "imagenet2012", "--source", "tars", "--data_dir", "data", "--image_size", "72"]
    done = alexnet(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"has no {TRAIN}" in done.stderr
    assert "or use --validation_only" in done.stderr
    done = alexnet(*arguments, "--validation_only", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "synsets" not in done.stdout
    assert "images    3 validation, 72 x 72 pixels" in done.stdout
    words = [
        "evaluate",
        "NET",
        "--dataset",
        "imagenet2012_72_validation",
        "--data_dir",
        "data",
        "--split",
        "validation",
    ]
    assert done.stdout.endswith(f"next\n{command(*words)}\n")

    config = tiny_config(model=tiny_model("paper", classes=1000))
    state = create_train_state(config, jax.random.key(0))
    statistics = state.statistics.replace(mean=np.full((72, 72, 3), 120, np.float32))
    names = tuple(synset_names().values())
    write_weights(Weights(config, state.params, statistics, names), tmp_path / "net.safetensors")
    done = alexnet(*[word.replace("NET", "net.safetensors") for word in words], cwd=tmp_path)
    assert re.match("validation, center, step 0, 3 images\ntop-1 error", done.stdout), done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ("", 2, "imagenet2012, imagenet2010, folder, tfds"),
        ("imagenet2012", 2, "--data_dir"),
        ("imagenet2012 --source . --data_dir .", 1, f"has no {TRAIN}"),
        ("imagenet2012 --source . --data_dir . --encoding png", 2, "png"),
        ("imagenet2012 --source . --data_dir . --quality 101", 2, "quality is 101"),
        ("folder --source nowhere --data_dir .", 2, "--source is nowhere: no such folder"),
        ("folder --source . --data_dir .", 1, "has 0 class folder"),
        ("tfds cifar11_sample --data_dir .", 2, "did you mean cifar10_sample"),
        ("tfds cifar10_sample --data_dir . --name 9-lives", 2, "use letters, digits and underscores"),
        ("tfds cifar10_sample --data_dir . --threads 0", 2, "--threads is 0: use 1 or more"),
    ],
)
def test_errors_are_one_line(tmp_path, arguments, status, message):
    done = alexnet("prepare", *arguments.split(), cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert re.fullmatch(rf"alexnet: error: .*{message}.*\n", done.stderr), done.stderr
    assert not list(tmp_path.iterdir())
