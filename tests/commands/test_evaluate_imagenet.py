"""``alexnet evaluate`` on ImageNet-V2 and with ReaL labels, in miniature."""

from __future__ import annotations

import dataclasses
import json

import jax.numpy as jnp
import pytest

from alexnet_jax.data.synsets import synset_names
from tests.helpers.command import alexnet
from tests.helpers.imagenet import picture, write_imagenet
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.run_directories import write_run

FAVOURITE = 10


def prefer(state):
    """The net that always finds class 10 the most probable, then 2."""
    bias = jnp.zeros(1000).at[FAVOURITE].set(1e4).at[2].set(5e3)
    return state.replace(params=state.params | {"fc8": state.params["fc8"] | {"bias": bias}})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run of 1,000 classes, prepared validation images 1, 7 and 1234, and some folders of ImageNet-V2."""
    place = tmp_path_factory.mktemp("imagenet")
    write_imagenet(place / "tars")
    done = alexnet(
        "prepare", "imagenet2012", "--source", place / "tars", "--data_dir", place / "data", "--validation_only",
        "--image_size", 72, "--name", "official",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    config = tiny_config(model=tiny_model("single_tower", classes=1000))
    data = dataclasses.replace(config.data, dataset="official", data_dir=str(place / "data"), test_split="validation")
    write_run(place / "run", dataclasses.replace(config, data=data), tuple(synset_names().values()), prefer)
    for number, (label, count) in enumerate({0: 1, 2: 2, 10: 3, 999: 2}.items()):
        (place / "v2" / str(label)).mkdir(parents=True)
        for index in range(count):
            (place / "v2" / str(label) / f"{index}.jpeg").write_bytes(picture(10 * number + index))
    return place


def write_real(path, labels):
    path.write_text(json.dumps([labels.get(number, [5]) for number in range(1, 50_001)]))
    return path


def evaluate(place, *arguments):
    return alexnet("evaluate", "run", *arguments, cwd=place)


def on_validation(place, real, *more):
    options = ("--dataset", "official", "--data_dir", place / "data", "--split", "validation")
    return evaluate(place, *options, "--real_labels", real, *more)


def test_an_image_is_right_with_any_of_its_real_labels_and_does_not_count_without(place):
    real = write_real(place / "real.json", {1: [3, FAVOURITE], 7: [3, 4], 1234: []})
    done = on_validation(place, real, "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["count"], found["top1_error"], found["real_labels"]) == (2, 0.5, str(real))
    assert on_validation(place, real).stdout == (
        "validation, center, step 7, 2 images\ntop-1 error 50.00% with ReaL labels\n"
    )


def test_folders_of_imagenet_v2_are_labels_and_not_names_in_order(place):
    """Three of eight images are of class 10, and two of class 2."""
    done = evaluate(place, "--dataset", "v2", "--json", "-")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["count"], found["top1_error"]) == (8, 5 / 8)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[[1]]", "has 1 entries instead of a list for each of 50,000 images"),
        ("{}", "has no list instead of a list for each of 50,000 images"),
        (json.dumps([[1], [1000]] + [[]] * 49_998), "entry 2 is not a list of labels from 0 to 999"),
        (json.dumps([3] + [[]] * 49_999), "entry 1 is not a list of labels from 0 to 999"),
        ("[", "cannot be read as JSON"),
    ],
)
def test_wrong_real_labels_are_refused_in_one_line(place, content, message):
    (place / "wrong.json").write_text(content)
    done = on_validation(place, "wrong.json")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"alexnet: error: wrong.json: {message}")
    assert done.stderr.endswith("; use real.json of google-research/reassessed-imagenet\n")
    assert done.stderr.count("\n") == 1


def test_real_labels_need_the_names_of_validation_images(place):
    names = list(synset_names())
    for synset in names[:2]:
        (place / "photos" / synset).mkdir(parents=True)
        for index in range(6):
            (place / "photos" / synset / f"{index}.jpeg").write_bytes(picture(index))
    real = write_real(place / "real2.json", {})
    done = evaluate(place, "--dataset", "photos", "--real_labels", real)
    assert done.returncode == 1
    assert "ReaL labels need validation images by name, ILSVRC2012_val_00000001.JPEG and so on" in done.stderr


def test_a_class_folder_beyond_imagenets_labels_is_refused(place):
    for name in ("3", "1000"):
        (place / "far" / name).mkdir(parents=True)
    done = evaluate(place, "--dataset", "far")
    message = "far: has a class folder 1000, but ImageNet's labels are 0 to 999"
    assert (done.returncode, done.stderr) == (2, f"alexnet: error: {message}\n")
