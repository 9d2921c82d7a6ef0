"""``alexnet evaluate``."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from alexnet_jax import eval_step, load_run, open_dataset
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.run_directories import write_run

CLASSES = ("cat", "dog", "horse", "ship", "truck", "frog")


def write_photos(root: Path, classes: tuple[str, ...]) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 3), ("test", 2)):
        for name in classes:
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                Image.fromarray(rng.integers(0, 256, (80, 80, 3), np.uint8)).save(root / part / name / f"{index}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with a run of five classes in ``five``, one of six classes in ``six``, and their photos."""
    place = tmp_path_factory.mktemp("evaluate")
    for name, count in (("five", 5), ("six", 6)):
        classes = tuple(sorted(CLASSES[:count]))
        write_photos(place / f"{name}_photos", classes)
        config = tiny_config(model=tiny_model("single_tower", classes=count))
        config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset=f"{name}_photos"))
        write_run(place / name, config, classes)
    return place


def test_every_image_of_the_split_is_counted(place):
    done = alexnet("evaluate", "six", cwd=place)
    assert done.returncode == 0, done.stderr
    pattern = r"test, center, step 7, 12 images\ntop-1 error [\d.]+%, top-5 error [\d.]+%, loss [\d.]+\n"
    assert re.fullmatch(pattern, done.stdout)


def test_five_classes_have_no_top5_error(place):
    done = alexnet("evaluate", "five", "--split", "train", "--json", "-", cwd=place)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["count"] == 15
    assert 0 < found["top1_error"] <= 1
    assert "top5_error" not in found
    assert "top-5" not in alexnet("evaluate", "five", cwd=place).stdout


def test_json_agrees_with_the_text(place):
    done = alexnet("evaluate", "six", "six", "--json", "out.json", cwd=place)
    found = json.loads((place / "out.json").read_text())
    assert found["nets"] == ["six", "six"]
    assert done.stdout == (
        f"test, center, 2 nets, 12 images\ntop-1 error {found['top1_error']:.2%}, "
        f"top-5 error {found['top5_error']:.2%}, loss {found['loss']:.4f}\n"
    )


def test_some_of_the_classes_are_evaluated_by_their_names(place):
    """horse and ship are 2 and 3 for the net, and 0 and 1 in the folder."""
    write_photos(place / "some_photos", ("horse", "ship"))
    done = alexnet("evaluate", "five", "--dataset", "some_photos", "--json", "-", cwd=place)
    assert done.returncode == 0, done.stderr
    run = load_run(place / "five")
    data = open_dataset(dataclasses.replace(run.config.data, dataset=str(place / "some_photos")), 3)
    examples = [data.test[index] for index in range(len(data.test))]
    batch = {
        "image": jnp.asarray(np.stack([example["image"] for example in examples])),
        "label": jnp.asarray([2 + int(example["label"]) for example in examples], jnp.int32),
    }
    expected = jax.jit(eval_step, static_argnames="config")(run.state(), batch, config=run.config)
    found = json.loads(done.stdout)
    assert found["count"] == 4
    assert found["loss"] == pytest.approx(float(expected["loss"]), rel=1e-5)


@pytest.mark.parametrize("split", ["train", "nothing"])
def test_a_split_that_a_folder_does_not_have_is_refused(place, split):
    done = alexnet("evaluate", "five", "--dataset", "five_photos/train", "--split", split, cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"--split is '{split}': five_photos/train has no split folders; leave out --split\n" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "no net is named: name a run directory or a file of weights"),
        (["six", "--json", "no/x.json"], 2, "--json is no/x.json: there is no directory no"),
        (["six", "--split", "all"], 2, "--split is 'all': use test, validation or train, or name another --dataset"),
        (["six", "--split", "validation"], 2, "--split is validation: this run held nothing out; use test or train"),
        (
            ["five", "--dataset", "six_photos"],
            2,
            "six_photos: has a class 'frog', but the net learned cat, dog, horse, ship, truck; remove it",
        ),
        (["six", "five"], 2, "model.classes is 6 in one net and 5 in another: use nets with the same model.classes"),
    ],
)
def test_errors_are_one_line(place, arguments, status, message):
    done = alexnet("evaluate", *arguments, cwd=place)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr == f"alexnet: error: {message}\n"


def test_outputs_that_are_not_finite_are_an_error(place, tmp_path):
    """They are not predictions of class 0."""

    def spoil(state):
        return state.replace(params=jax.tree.map(lambda leaf: leaf * np.float32("nan"), state.params))

    config = tiny_config(model=tiny_model("single_tower", classes=6))
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset="six_photos"))
    spoiled = write_run(tmp_path / "spoiled", config, tuple(sorted(CLASSES)), spoil)
    image = next((place / "six_photos" / "test" / "cat").iterdir())
    for arguments, name in [
        (["evaluate", spoiled], f"{spoiled}: the outputs of the net"),
        (["evaluate", "six", spoiled], f"six {spoiled}: the outputs of net 2 of 2"),
        (["predict", spoiled, image], f"{spoiled}: the outputs of the net"),
    ]:
        done = alexnet(*arguments, cwd=place)
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(rf"alexnet: error: {name} are not finite numbers: .*; use another .*\n", done.stderr)
