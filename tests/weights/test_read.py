"""``read_weights`` and ``load_weights``: the choice of a reader, and messages for what cannot be read."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import alexnet_jax
from alexnet_jax.config import OptimizerConfig
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.weights.read import read_config, read_weights
from tests.helpers.nets import tiny_config
from tests.helpers.references import REFERENCES, draw, tiny
from tests.helpers.run_directories import write_run
from tests.helpers.trees import assert_same

TORCH = REFERENCES / "torch" / "tiny_torchvision"
CAFFE = REFERENCES / "caffe" / "tiny_caffe_alexnet"
MEAN = REFERENCES / "caffe" / "tiny_mean.binaryproto"


def structure(model):
    """The model without what the reference nets change: dropout and initial weights."""
    return dataclasses.replace(
        model,
        convs=tuple(dataclasses.replace(conv, kernel_stddev=None) for conv in model.convs),
        dense=tuple(dataclasses.replace(dense, kernel_stddev=None) for dense in model.dense),
        dropout=dataclasses.replace(model.dropout, rate=0.0),
        head_kernel_stddev=None,
    )


@pytest.mark.parametrize("suffix", [".pth", "_legacy.pth", ".safetensors"])
def test_every_format_of_a_torchvision_state_dict_loads(suffix):
    weights = alexnet_jax.load_weights(f"{TORCH}{suffix}", "torchvision")
    model = tiny("torchvision")
    assert structure(weights.config.model) == structure(model)
    assert_same(weights.params, draw("torchvision", model, seed=1, batch=4)[0])


@pytest.mark.parametrize("suffix", [".caffemodel", "_v1.caffemodel"])
def test_every_format_of_a_caffemodel_loads(suffix):
    weights = alexnet_jax.load_weights(f"{CAFFE}{suffix}")
    model = tiny("caffe_alexnet")
    assert structure(weights.config.model) == structure(model)
    assert weights.config.data.resize == "squash"
    assert alexnet_jax.load_weights(f"{CAFFE}{suffix}", "caffe_alexnet").config == weights.config
    assert_same(weights.params, draw("caffe_alexnet", model, seed=1, batch=6)[0])


def test_caffe_mean_image_becomes_the_mean_of_the_statistics():
    weights = read_weights(Path(f"{CAFFE}.caffemodel"), mean=MEAN)
    assert (weights.config.augment.mean, weights.config.data.image_size) == ("image", 67)
    noise = 2 * np.random.RandomState(2).standard_normal((1, 3, 67, 67))
    drawn = noise + np.reshape([104.91, 119.72, 127.30], (3, 1, 1))
    np.testing.assert_allclose(weights.statistics.mean, drawn[0, ::-1].transpose(1, 2, 0), rtol=1e-6)


def test_caffe_channel_means_are_the_default():
    weights = read_weights(Path(f"{CAFFE}.caffemodel"))
    assert weights.config.augment.mean == "channel"
    assert weights.statistics.mean.tolist() == [123.0, 117.0, 104.0]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (f"{TORCH}.pth", "net.safetensors"),
        (f"{TORCH}.safetensors", "net.pth"),
        (f"{TORCH}.pth", "net.caffemodel"),
        (f"{CAFFE}.caffemodel", "net.pth"),
        (f"{CAFFE}.caffemodel", "net.safetensors"),
        (MEAN, "net.caffemodel"),
        (Path(__file__), "net.pth"),
    ],
)
def test_a_file_with_the_suffix_of_another_format_is_refused(tmp_path, source, name):
    shutil.copy(source, tmp_path / name)
    with pytest.raises(AlexNetError, match=name) as error:
        read_weights(tmp_path / name)
    assert "\n" not in str(error.value)


LUCID = {"classifier.1": "fc6", "classifier.4": "fc7", "classifier.6": "classifier"}


@pytest.mark.parametrize(
    "rename",
    [
        pytest.param(lambda module: LUCID.get(module, module), id="lucid"),
        pytest.param(lambda module: module.replace("features.", "features.module."), id="parallel features"),
        pytest.param(lambda module: f"module.{module}", id="parallel net"),
    ],
)
def test_other_names_of_torchvisions_net_are_read(tmp_path, rename):
    state = load_file(f"{TORCH}.safetensors")
    renamed = {f"{rename(name.rpartition('.')[0])}.{name.rpartition('.')[2]}": array for name, array in state.items()}
    assert set(renamed) != set(state)
    save_file(renamed, tmp_path / "model.safetensors")
    weights = read_weights(tmp_path / "model.safetensors", "torchvision")
    assert_same(weights.params, draw("torchvision", tiny("torchvision"), seed=1, batch=4)[0])


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A safetensors file of another net, and one that lacks the first layer."""
    directory = tmp_path_factory.mktemp("foreign")
    save_file({"backbone.weight": np.zeros(3, np.float32)}, directory / "other.safetensors")
    layers = load_file(f"{TORCH}.safetensors")
    without = {name: array for name, array in layers.items() if not name.startswith("features.0.")}
    save_file(without, directory / "part.safetensors")
    return directory


@pytest.mark.parametrize(
    ("file", "options", "message"),
    [
        ("no.pth", {}, "no.pth: no such file or directory; pass a run directory or a weights file"),
        (__file__, {}, ".py: neither a run directory nor a weights file, which ends in .safetensors, .pth, .pt, .caff"),
        ("other.safetensors", {}, "other.safetensors: 'backbone.weight' is not a parameter of torchvision's AlexNet"),
        ("part.safetensors", {}, "part.safetensors: its shapes are those of no named net: pass --variant"),
        (f"{TORCH}.pth", {}, "torchvision.pth: its shapes are those of no named net: pass --variant, whose widths"),
        (f"{TORCH}.pth", {"variant": "torchvison"}, "did you mean torchvision"),
        (f"{TORCH}.pth", {"variant": "paper"}, "torchvision.pth: conv2 has the shapes"),
        (
            f"{TORCH}.pth",
            {"variant": "cifar10_conv_relu"},
            "its layers are conv1, conv2, conv3, conv4, conv5, fc6, fc7",
        ),
        (f"{TORCH}.pth", {"mean": MEAN}, "tiny_mean.binaryproto: only .caffemodel and .onnx files take a mean image"),
        (f"{CAFFE}.caffemodel", {"mean": Path(__file__)}, "test_read.py: is truncated, or not a binary file of Caffe"),
    ],
)
def test_unreadable_weights_are_refused_in_one_line(foreign, file, options, message):
    with pytest.raises(AlexNetError) as error:
        read_weights(foreign / file, **options)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_without_validation_errors_the_best_checkpoint_is_the_latest_with_a_warning(tmp_path):
    lines = []
    run = write_run(tmp_path, tiny_config(), ())
    assert read_weights(run, checkpoint="best", warn=lines.append).step == 7
    assert len(lines) == 1
    assert "has no errors of validation images" in lines[0]
    numbers = dict.fromkeys(("epoch", "loss", "top1_error", "top5_error", "learning_rate"), 0.5)
    RunDirectory(run).append_metrics({"step": 7, "split": "validation"} | numbers)
    assert read_weights(run, checkpoint="best", warn=pytest.fail).step == 7


def test_the_checkpoint_of_a_step_is_read_or_the_steps_are_named(tmp_path):
    run = write_run(tmp_path, tiny_config(), ())
    assert read_weights(run, checkpoint=7, warn=pytest.fail).step == 7
    with pytest.raises(UsageError, match=r"--checkpoint is 6: .* has the checkpoints of steps 7$"):
        read_weights(run, checkpoint=6)


def test_the_config_of_a_run_is_read_without_its_weights(tmp_path, monkeypatch):
    """``train --init`` reads it before it sets the number of devices, which is too late once JAX has made arrays."""
    run = write_run(tmp_path, tiny_config(), ())
    monkeypatch.setattr("alexnet_jax.weights.read.read_weights", pytest.fail)
    assert read_config(run) == tiny_config()


def test_a_run_with_an_average_is_read_as_its_average(tmp_path):
    config = tiny_config(optimizer=OptimizerConfig(ema_decay=0.9))
    zeros = partial(jax.tree.map, np.zeros_like)
    root = write_run(
        tmp_path / "run", config, tuple("abcdefghij"), lambda state: state.replace(average=zeros(state.params))
    )
    weights = read_weights(root)
    assert_same(weights.params, zeros(weights.params))
    assert weights.state().inference_params is weights.params


READ_AND_START = """
import sys
from pathlib import Path
from alexnet_jax import runtime
from alexnet_jax.weights.read import read_weights
net, variant, mean = sys.argv[1:]
read_weights(Path(net), variant or None, Path(mean) if mean else None)
runtime.use_virtual_devices(3)
import jax
print(len(jax.devices()))
"""


@pytest.mark.parametrize(
    ("net", "variant", "mean"),
    [
        ("torchvision_features", "", ""),
        (f"{TORCH}.pth", "torchvision", ""),
        (f"{CAFFE}.caffemodel", "", ""),
        (f"{CAFFE}.caffemodel", "", MEAN),
    ],
)
def test_reading_weights_does_not_start_the_backend_of_jax(net, variant, mean):
    """``train --init FILE`` reads the net before it chooses the devices."""
    command = [sys.executable, "-c", READ_AND_START, net, variant, mean]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"
