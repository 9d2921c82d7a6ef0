"""Whole runs on data that are degenerate, damaged or changed."""

from __future__ import annotations

import math
import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.training.runs.run_directory import RunDirectory
from tests.helpers.command import alexnet

FAST = ["--preset", "quickstart", "--batch_size", 8, "--epochs", 2, "--log_every", 1, "--devices", 1]
FAST += ["--steps_per_dispatch", 1]
FAST += ["--data.test_fraction", 0.3]


def train(workdir, folder, *options):
    return alexnet("train", "--workdir", workdir, "--data.dataset", folder, *FAST, *options)


@pytest.mark.slow
@pytest.mark.parametrize(("constant", "named"), [([2], "2"), ([0, 1, 2], "0 and 1 and 2")])
def test_constant_channels_give_finite_numbers_and_a_note(photos, tmp_path, constant, named):
    folder = photos(splits=("train", "test"))
    for file in folder.rglob("*.png"):
        pixels = np.array(Image.open(file))
        pixels[..., constant] = 100
        Image.fromarray(pixels).save(file)
    done = train(tmp_path / "run", folder, "--augment.divide_by_stddev", "--augment.pca_colour_noise", 0.1)
    assert done.returncode == 0, done.stderr
    assert f"\nnote      channel {named} of the training images is constant (channels count from 0)\n" in done.stdout
    assert all(math.isfinite(row["loss"]) for row in RunDirectory(tmp_path / "run").read_metrics())


def add_image(folder, name):
    shutil.copy(next(folder.rglob("*.png")), folder / name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run on a folder without train and test folders, and the folder."""
    root = tmp_path_factory.mktemp("finished")
    rng = np.random.default_rng(1)
    for kind in ("cat", "dog"):
        (root / "photos" / kind).mkdir(parents=True)
        for index in range(14):
            pixels = rng.integers(0, 256, (36, 36, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "photos" / kind / f"{index}.png")
    done = train(root / "run", root / "photos")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of ``finished``, to change."""
    return shutil.copytree(finished, tmp_path / "copy")


def test_a_folder_with_another_image_is_not_trained_on_its_test_images(copy):
    photos, run = copy / "photos", copy / "run"
    assert train(run, photos).returncode == 0
    add_image(photos, "cat/new.png")
    changed = rf"{photos}: the data changed since the run in {run} started: 1 image added \(cat/new\.png\); "
    changed += r"\d training images moved to the test images \(.+\); "
    done = train(run, photos, "--epochs", 3)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert re.fullmatch(
        rf"alexnet: error: {changed}restore it, use another --workdir, or --overwrite .+\n", done.stderr
    )
    evaluated = alexnet("evaluate", run)
    assert (evaluated.returncode, evaluated.stderr.count("\n")) == (0, 1)
    assert re.match(f"alexnet: warning: {changed}", evaluated.stderr)
    (photos / "cat" / "new.png").unlink()
    assert train(run, photos, "--epochs", 3).returncode == 0


def test_renamed_classes_that_permute_the_labels_are_refused(copy):
    (copy / "photos" / "dog").rename(copy / "photos" / "ant")
    done = train(copy / "run", copy / "photos")
    assert done.returncode == 2
    assert "class 0 was 'cat' and is now 'ant'; class 1 was 'dog' and is now 'cat'; restore it" in done.stderr


def test_data_that_moved_as_a_whole_are_the_same(copy, finished):
    done = train(copy / "run", copy / "photos", "--epochs", 3)  # the run started with the folder of ``finished``
    assert done.returncode == 0, done.stderr
    assert RunDirectory(copy / "run").read_config().data.dataset == str(copy / "photos")
    other = train(copy / "run", copy / "photos", "--epochs", 3, "--data.test_fraction", 0.4)
    assert "data.test_fraction was 0.3 and is now 0.4" in other.stderr


def test_a_run_on_a_relative_path_can_be_used_from_another_directory(copy, tmp_path):
    assert alexnet("train", "--workdir", "run", "--data.dataset", "photos", cwd=copy).returncode == 0
    assert RunDirectory(copy / "run").read_config().data.dataset == str(copy / "photos")
    for words in (("train", "--workdir"), ("evaluate",)):
        done = alexnet(*words, copy / "run", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    (copy / "photos").rename(copy / "moved")
    assert "no such folder" in alexnet("evaluate", copy / "run").stderr
    moved = alexnet("evaluate", "run", "--dataset", "moved", cwd=copy)
    assert (moved.returncode, moved.stderr, moved.stdout) == (0, "", done.stdout)  # with the run's own splits
    assert alexnet("train", "--workdir", "run", "--data.dataset", "moved", cwd=copy).returncode == 0
    assert alexnet("evaluate", copy / "run", cwd=tmp_path).stdout == done.stdout


def test_a_run_of_an_earlier_version_records_its_data(copy):
    record = copy / "run" / "data.json"
    written = record.read_text()
    record.unlink()
    refused = train(copy / "run", copy / "photos")
    assert "data.dataset was" in refused.stderr
    assert alexnet("train", "--workdir", copy / "run").returncode == 0
    assert record.read_text() == written


def test_a_damaged_record_of_the_data_stops_training_and_not_evaluation(copy):
    record = copy / "run" / "data.json"
    record.write_bytes(b"\xff{")
    refused = alexnet("train", "--workdir", copy / "run")
    assert refused.returncode == 1
    assert re.search(
        rf"error: {record}: cannot be read \(.+\); restore it, or remove it if the data are", refused.stderr
    )
    evaluated = alexnet("evaluate", copy / "run")
    assert evaluated.returncode == 0
    assert f"warning: {record}: cannot be read" in evaluated.stderr


@pytest.fixture
def damaged(photos):
    """A folder with 40 training images, of which two cannot be read."""
    folder = photos(per_class=20, splits=("train", "test"))
    content = (folder / "train" / "cat" / "3.png").read_bytes()
    (folder / "train" / "cat" / "3.png").write_bytes(content[: len(content) // 2])
    (folder / "train" / "dog" / "11.png").write_bytes(b"not an image")
    return folder


def digest_in(text):
    return re.search(r"SHA-256 ([0-9a-f]{64})", text).group(1)


@pytest.mark.slow
def test_unreadable_training_images_are_skipped_in_the_same_way_on_every_resume(damaged, tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    options = ["--epochs", 3, "--checkpoint_every", 4]
    done = train(whole, damaged, *options)
    assert done.returncode == 0, done.stderr
    listed = whole / "unreadable.txt"
    assert [line.split("\t")[0] for line in listed.read_text().splitlines()] == ["cat/3.png", "dog/11.png"]
    for name, reason in (("cat/3.png", "image file is truncated"), ("dog/11.png", "cannot identify the format")):
        assert (
            len(re.findall(rf"^note +{name} cannot be read \({reason}.*\); the next", done.stdout, re.MULTILINE)) == 1
        )
    assert f"\nnote      skipped 2 unreadable training image(s), listed in {listed}\n" in done.stdout
    shutil.copytree(whole, resumed)
    for step in sorted(map(int, os.listdir(resumed / "checkpoints")))[1:]:
        shutil.rmtree(resumed / "checkpoints" / str(step))
    again = train(resumed, damaged, *options)
    assert re.search(r"resumes at step \d", again.stdout), again.stderr
    assert digest_in(again.stdout) == digest_in(done.stdout)
    assert (resumed / "unreadable.txt").read_text() == listed.read_text()


@pytest.mark.slow
def test_too_many_unreadable_training_images_stop_the_run_in_one_line_until_the_limit_is_raised(damaged, tmp_path):
    (damaged / "train" / "cat" / "0.png").write_bytes(b"")
    for _ in range(2):
        done = train(tmp_path / "run", damaged)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert re.match(
            r"alexnet: error: 3 of 40 images cannot be read: .*cat/0\.png \(.*; "
            r"restore them, or raise --data\.max_unreadable, which is 0\.05\n",
            done.stderr,
        )
    done = train(tmp_path / "run", damaged, "--data.max_unreadable", 0.1)
    assert done.returncode == 0, done.stderr
    resumed = alexnet("train", "--workdir", tmp_path / "run", "--epochs", 3)
    assert resumed.returncode == 0, resumed.stderr


def test_a_damaged_test_image_is_found_before_the_first_step(photos, tmp_path):
    folder = photos(splits=("train", "test"))
    intact = (folder / "test" / "dog" / "3.png").read_bytes()
    (folder / "test" / "dog" / "3.png").write_bytes(intact[:-200])
    done = train(tmp_path / "run", folder)
    assert (done.returncode, done.stdout.count("net  ")) == (1, 0)
    assert re.fullmatch(
        rf"alexnet: error: {folder}: 1 of 16 test images cannot be read: dog/3\.png \(.+\); restore them, or leave "
        r"them out in another --workdir\n",
        done.stderr,
    )
    (folder / "test" / "dog" / "3.png").write_bytes(intact)
    assert train(tmp_path / "run", folder).returncode == 0
