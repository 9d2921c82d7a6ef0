"""Nets with layers of their own kind, in miniature: trained, resumed, evaluated and exported."""

from __future__ import annotations

import dataclasses
import json

import pytest
from rich.console import Console

from alexnet_jax.config import DataConfig, ModelConfig, ScheduleConfig
from alexnet_jax.presets import preset
from alexnet_jax.training.loop import train
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.variants import variant
from tests.helpers.command import alexnet
from tests.helpers.nets import tiny_model


def miniature(name: str) -> ModelConfig:
    """The net with few channels. It reads images of 32 pixels."""
    model = variant(name)
    if name.startswith("cifar10"):
        return dataclasses.replace(tiny_model(name), image_size=model.image_size)
    conv1 = dataclasses.replace(tiny_model(name).convs[0], kernel_size=5, stride=1)
    return dataclasses.replace(tiny_model(name), convs=(conv1, *tiny_model(name).convs[1:]), image_size=28)


def run(name: str, workdir: RunDirectory, epochs: int, devices: int):
    recipe = preset(name) if name.startswith("cifar10") and "conv" not in name else preset("imagenet_original")
    config = dataclasses.replace(
        recipe,
        model=miniature(name),
        data=DataConfig(train_split="train[:48]", test_split="test[:20]", train_examples=48),
        augment=dataclasses.replace(recipe.augment, images_per_crop=1),
        schedule=ScheduleConfig("steps", epochs=(1,)),
        batch_size=16,
        epochs=epochs,
        log_every=1,
    )
    return train(config, workdir, Console(quiet=True), devices=devices)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "devices"),
    [
        ("cifar10_11pct", 1),
        ("cifar10_18pct", 1),
        ("layer_file_150", 2),
        ("one_weird_trick", 1),
    ],
)
def test_a_resumed_run_equals_an_uninterrupted_one_and_is_evaluated(tmp_path, name, devices):
    whole, parts = RunDirectory(tmp_path / "whole"), RunDirectory(tmp_path / "parts")
    want = run(name, whole, 2, devices)
    assert run(name, parts, 1, devices).step == 3
    found = run(name, parts, 2, devices)
    assert (found.step, found.steps_taken) == (6, 3)
    assert found.params_sha256 == want.params_sha256
    result = json.loads(alexnet("evaluate", whole.root, "--json", "-", "--views", "ten-crop").stdout)
    assert result["count"] == 20
    assert alexnet("export", whole.root, tmp_path / "net.onnx").returncode == 0
    assert (tmp_path / "net.onnx").stat().st_size > 1000
