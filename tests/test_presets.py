"""Each ImageNet recipe on a miniature of ImageNet: prepare, train, evaluate, predict."""

from __future__ import annotations

import dataclasses
import json

import pytest
from rich.console import Console

from alexnet_jax.config import TrainConfig
from alexnet_jax.presets import PRESETS, preset
from alexnet_jax.training.loop import train
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.variants import VARIANTS, variant
from tests.helpers.command import alexnet
from tests.helpers.imagenet import picture, write_imagenet
from tests.helpers.nets import tiny_model

RECIPES = [name for name in PRESETS if name.startswith("imagenet")]
MODELS = {net: variant(net) for net in VARIANTS}
NETS = {recipe: next(net for net in MODELS if MODELS[net] == preset(recipe).model) for recipe in RECIPES}
"""The net of each recipe."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    place = tmp_path_factory.mktemp("imagenet")
    write_imagenet(place / "tars", validation=range(1, 9))
    sizes = ["--image_size", 72, "--name", "imagenet2012_256"]
    done = alexnet("prepare", "imagenet2012", "--source", place / "tars", "--data_dir", place / "data", *sizes)
    assert done.returncode == 0, done.stderr
    (place / "picture.jpg").write_bytes(picture(1))
    return place


def miniature(name, data_dir):
    """The recipe with few channels, small crops and two steps per epoch. Its schedule is scaled to two epochs."""
    config = preset(name)
    model = tiny_model(NETS[name], 1000)
    kernels = (dataclasses.replace(conv, kernel_stddev=config.model.convs[0].kernel_stddev) for conv in model.convs)
    schedule = config.schedule
    fractions = [epoch / config.epochs for epoch in schedule.epochs]
    schedule = dataclasses.replace(
        schedule,
        epochs=tuple(round(2 * fraction, 2) for fraction in fractions),
        decay_epochs=None if schedule.decay_epochs is None else 2 * schedule.decay_epochs / config.epochs,
        warm_up_epochs=2 * schedule.warm_up_epochs / config.epochs,
        bias_epochs=tuple(2 * epoch / config.epochs for epoch in schedule.bias_epochs),
        layer_rates=tuple((layer, 2 * epoch / config.epochs, rate) for layer, epoch, rate in schedule.layer_rates),
    )
    augment = dataclasses.replace(config.augment, images_per_crop=min(2, config.augment.images_per_crop))
    if augment.pca_colour_noise_until is not None:
        augment = dataclasses.replace(augment, pca_colour_noise_until=1)
    return dataclasses.replace(
        config,
        model=dataclasses.replace(model, convs=tuple(kernels)),
        data=dataclasses.replace(config.data, data_dir=str(data_dir), image_size=72, train_examples=15),
        augment=augment,
        schedule=schedule,
        batch_size=6,
        micro_batches=1 if config.micro_batches == 1 else 2,
        epochs=2,
        log_every=1,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_recipe_runs_in_miniature(prepared, tmp_path, name):
    workdir = RunDirectory(tmp_path / "run")
    result = train(miniature(name, prepared / "data"), workdir, Console(quiet=True))
    assert result.step == 4
    rows = [json.loads(line) for line in workdir.metrics.read_text().splitlines()]
    splits = ["validation", "test"] if name == "imagenet_paper" else ["test"]
    assert [row["split"] for row in rows] == 2 * ["train", "train", *splits]
    done = alexnet("evaluate", workdir.root, "--views", "ten-crop")
    assert "test, ten-crop, step 4, 8 images\ntop-1 error" in done.stdout, done.stderr
    done = alexnet("predict", workdir.root, prepared / "picture.jpg")
    assert len(done.stdout.splitlines()) == 6
    assert "class" not in done.stdout
    assert (workdir.root / "classes.txt").read_text().startswith("tench\ngoldfish\n")


def test_presets_are_hashable():
    assert isinstance(hash(preset("quickstart")), int)
    assert isinstance(preset("quickstart"), TrainConfig)
