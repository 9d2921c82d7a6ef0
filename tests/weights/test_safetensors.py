"""Safetensors files, of this project's format and of torchvision's."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.training.steps.state import abstract_train_state
from alexnet_jax.weights.read import read_weights
from alexnet_jax.weights.safetensors import write_weights
from alexnet_jax.weights.weights import Weights
from tests.helpers.nets import tiny_config
from tests.helpers.references import REFERENCES
from tests.helpers.trees import assert_same

TORCH = REFERENCES / "torch" / "tiny_torchvision"


def test_own_format_round_trip_keeps_everything(trained, tmp_path):
    write_weights(trained, tmp_path / "new" / "net.safetensors")
    again = read_weights(tmp_path / "new" / "net.safetensors")
    assert again.config == trained.config
    assert (again.class_names, again.step) == (("tench", "goldfish"), 17)
    assert_same(again.params, trained.params)
    assert_same(again.statistics, trained.statistics)


def test_own_format_keeps_the_statistics_of_batch_normalisation(tmp_path):
    config, rng = tiny_config("alexnet_bn"), np.random.default_rng(0)
    state = jax.tree.map(lambda leaf: rng.random(leaf.shape).astype(leaf.dtype), abstract_train_state(config))
    weights = Weights(config, state.params, state.statistics, batch_stats=state.batch_stats)
    path = tmp_path / "net.safetensors"
    write_weights(weights, path)
    assert_same(read_weights(path).state().inference_variables, state.inference_variables)
    arrays = load_file(path)
    assert arrays.pop("bn3/mean").shape == (16,)
    with safe_open(path, framework="numpy") as file:
        save_file(arrays, tmp_path / "changed.safetensors", file.metadata())
    with pytest.raises(AlexNetError, match=r"damaged: bn3/mean is missing, or is not float32 \(16,\)"):
        read_weights(tmp_path / "changed.safetensors")


def test_own_format_leaves_out_the_data_directory(trained, tmp_path):
    config = dataclasses.replace(trained.config, data=dataclasses.replace(trained.config.data, data_dir="/somewhere"))
    write_weights(dataclasses.replace(trained, config=config), tmp_path / "net.safetensors")
    assert read_weights(tmp_path / "net.safetensors").config == trained.config


def test_torchvision_format_equals_the_file_that_pytorch_wrote(tmp_path):
    weights = read_weights(Path(f"{TORCH}.pth"), "torchvision")
    write_weights(weights, tmp_path / "net.safetensors", "torchvision")
    assert_same(load_file(tmp_path / "net.safetensors"), load_file(f"{TORCH}.safetensors"))
    again = read_weights(tmp_path / "net.safetensors", "torchvision")
    assert again.config == weights.config
    assert_same(again.params, weights.params)


def test_damaged_own_files_are_refused_in_one_line(trained, tmp_path):
    write_weights(trained, tmp_path / "net.safetensors")
    arrays = load_file(tmp_path / "net.safetensors")
    config = json.dumps(dataclasses.asdict(trained.config))
    metadata = {"format": "alexnet_jax", "config": config, "class_names": "[]", "step": "3"}
    without = {name: array for name, array in arrays.items() if name != "conv3/bias"}
    missing = r"conv3/bias is missing, or is not float32 \(12,\)"
    cases = [
        (arrays, metadata | {"config": "{}"}, "its metadata cannot be read"),
        (arrays, metadata | {"step": "three"}, "its metadata cannot be read"),
        (without, metadata, missing),
        (arrays | {"conv3/bias": np.zeros(13, np.float32)}, metadata, missing),
        (arrays | {"conv3/bias": np.zeros(12)}, metadata, missing),
        (arrays | {"more": np.zeros(1)}, metadata, "more is not an array of its net"),
    ]
    path = tmp_path / "changed.safetensors"
    for changed, header, message in cases:
        save_file(changed, path, header)
        with pytest.raises(AlexNetError, match=rf"^{path}: damaged: .*{message}") as error:
            read_weights(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("length", [0, 1, 7, 100, 3000, -1])
def test_truncated_files_are_refused(tmp_path, length):
    path = tmp_path / "net.safetensors"
    path.write_bytes(Path(f"{TORCH}.safetensors").read_bytes()[:length])
    with pytest.raises(AlexNetError, match=rf"^{path}: not a complete safetensors file"):
        read_weights(path)


def test_other_suffixes_and_existing_files_are_not_written(trained, tmp_path):
    (tmp_path / "old.safetensors").write_text("old")
    with pytest.raises(UsageError, match=r"net.pth: weights are written as safetensors; use a name that ends in"):
        write_weights(trained, tmp_path / "net.pth")
    with pytest.raises(UsageError, match=r"old.safetensors: already exists; remove it or use another name"):
        write_weights(trained, tmp_path / "old.safetensors")
    assert (tmp_path / "old.safetensors").read_text() == "old"


def test_a_directory_that_cannot_be_created_is_named(trained, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AlexNetError, match=r"file/net.safetensors: cannot be written \(.*\); free some space"):
        write_weights(trained, tmp_path / "file" / "net.safetensors")
