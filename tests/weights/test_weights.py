"""Weights in and out: every format to the same parameters, and what cannot be read refused."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import alexnet_jax
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.net.model import AlexNet
from alexnet_jax.training.state import create_train_state
from alexnet_jax.variants import VARIANTS, variant
from alexnet_jax.weights.channels_first import layer_shapes
from alexnet_jax.weights.files import Weights, read_weights, write_weights
from alexnet_jax.weights.recognize import recognize_layers, torchvision_names
from alexnet_jax.weights.transfer import begin_with, config_for
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.references import REFERENCES, draw, tiny

TORCH = REFERENCES / "torch" / "tiny_torchvision"
CAFFE = REFERENCES / "caffe" / "tiny_caffe_alexnet"


def assert_same(found, want):
    jax.tree.map(np.testing.assert_array_equal, found, want)


@pytest.fixture(scope="module")
def trained() -> Weights:
    """A net of our own with a mean image, names and a step."""
    config = tiny_config("original")
    state = jax.jit(lambda key: create_train_state(config, key))(jax.random.key(0))
    mean = jax.random.uniform(jax.random.key(1), (72, 72, 3), jnp.float32) * 255
    statistics = state.statistics.replace(mean=mean)
    return Weights(config, jax.device_get(state.params), jax.device_get(statistics), ("tench", "goldfish"), 17)


@pytest.mark.parametrize("suffix", [".pth", "_legacy.pth", ".safetensors"])
def test_a_state_dict_of_torchvision_gives_the_judges_parameters(suffix):
    weights = alexnet_jax.load_weights(f"{TORCH}{suffix}", "torchvision")
    model = tiny("torchvision")
    assert dataclasses.replace(weights.config.model, dropout=model.dropout) == model
    assert_same(weights.params, draw("torchvision", model, seed=1, batch=4)[0])


@pytest.mark.parametrize("suffix", [".caffemodel", "_v1.caffemodel"])
def test_a_caffemodel_tells_its_net_and_gives_the_judges_parameters(suffix):
    weights = alexnet_jax.load_weights(f"{CAFFE}{suffix}")
    model = tiny("caffe_alexnet")
    assert dataclasses.replace(weights.config.model, dropout=model.dropout) == model
    assert alexnet_jax.load_weights(f"{CAFFE}{suffix}", "caffe_alexnet").config == weights.config
    assert_same(weights.params, draw("caffe_alexnet", model, seed=1, batch=6)[0])


def test_a_mean_image_of_caffe_is_subtracted_and_a_mean_colour_without_one():
    with_mean = read_weights(Path(f"{CAFFE}.caffemodel"), mean=REFERENCES / "caffe" / "tiny_mean.binaryproto")
    assert (with_mean.config.augment.mean, with_mean.config.data.image_size) == ("image", 67)
    drawn = 2 * np.random.RandomState(2).standard_normal((1, 3, 67, 67)) + np.reshape(
        [104.91, 119.72, 127.30], (3, 1, 1)
    )
    np.testing.assert_allclose(with_mean.statistics.mean, drawn[0, ::-1].transpose(1, 2, 0), rtol=1e-6)
    without = read_weights(Path(f"{CAFFE}.caffemodel"))
    assert without.config.augment.mean == "channel"
    assert without.statistics.mean.tolist() == [123.0, 117.0, 104.0]


def zeros(name, classes=1000):
    """Layers with the shapes of a named net that take no memory."""
    config = dataclasses.replace(variant(name), classes=classes)
    return {
        layer: {kind: np.broadcast_to(np.float32(0), size) for kind, size in (("kernel", shape), ("bias", shape[:1]))}
        for layer, shape in layer_shapes(config).items()
    }


ONE_OF_ITS_SHAPE = ["one_gpu", "torchvision", "single_tower", "single_tower_227", "d2l", "slim_v2", "small"]


@pytest.mark.parametrize("name", ONE_OF_ITS_SHAPE)
def test_a_named_net_is_recognised_by_its_shapes_whatever_its_classes(name):
    assert recognize_layers(zeros(name, 6)) == dataclasses.replace(variant(name), classes=6)


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - set(ONE_OF_ITS_SHAPE)))
def test_nets_of_one_shape_are_not_guessed(name):
    with pytest.raises(UsageError, match=rf"fits .*{name}.* alike: say which net it is with --variant"):
        recognize_layers(zeros(name))


def test_torchvisions_names_are_those_of_its_state_dict():
    names = torchvision_names(variant("torchvision"))
    assert [name for name in names.values() if name.startswith("f")] == [f"features.{n}" for n in (0, 3, 6, 8, 10)]
    assert [name for name in names.values() if name.startswith("c")] == [f"classifier.{n}" for n in (1, 4, 6)]


def test_our_own_file_comes_back_whole(trained, tmp_path):
    write_weights(trained, tmp_path / "net.safetensors")
    again = read_weights(tmp_path / "net.safetensors")
    assert again.config == trained.config
    assert (again.class_names, again.step) == (("tench", "goldfish"), 17)
    assert_same(again.params, trained.params)
    assert_same(again.statistics, trained.statistics)


def test_torchvisions_layout_comes_back_exactly_and_is_the_file_that_pytorch_wrote(tmp_path):
    weights = read_weights(Path(f"{TORCH}.pth"), "torchvision")
    write_weights(weights, tmp_path / "net.safetensors", "torchvision")
    assert_same(load_file(tmp_path / "net.safetensors"), load_file(f"{TORCH}.safetensors"))
    again = read_weights(tmp_path / "net.safetensors", "torchvision")
    assert again.config == weights.config
    assert_same(again.params, weights.params)


def test_every_named_net_goes_through_torchvisions_layout(tmp_path):
    for name in ("paper", "caffenet", "one_gpu"):
        model = tiny_model(name)
        params = jax.jit(AlexNet(model).init)(jax.random.key(0), jnp.zeros((1, 67, 67, 3), jnp.float32))["params"]
        weights = Weights(tiny_config(model=model), params, read_weights(Path(f"{CAFFE}.caffemodel")).statistics)
        write_weights(weights, tmp_path / f"{name}.safetensors", "torchvision")
        if name == "one_gpu":  # at its own 224 pixels fc6 reads more than the tiny net's has
            continue
        layers = load_file(tmp_path / f"{name}.safetensors")
        assert layers["features.0.weight"].shape == (8, 3, 11, 11)


def test_a_damaged_file_of_ours_is_refused_in_one_line(trained, tmp_path):
    write_weights(trained, tmp_path / "net.safetensors")
    arrays = load_file(tmp_path / "net.safetensors")
    config = json.dumps(dataclasses.asdict(trained.config))
    metadata = {"format": "alexnet_jax", "config": config, "class_names": "[]", "step": "3"}
    without = {name: array for name, array in arrays.items() if name != "conv3/bias"}
    cases = [
        (arrays, metadata | {"config": "{}"}, "its metadata cannot be read"),
        (arrays, metadata | {"step": "three"}, "its metadata cannot be read"),
        (without, metadata, r"conv3/bias is not there as float32 \(12,\)"),
        (arrays | {"conv3/bias": np.zeros(13, np.float32)}, metadata, "conv3/bias is not there"),
        (arrays | {"conv3/bias": np.zeros(12)}, metadata, "conv3/bias is not there"),
        (arrays | {"more": np.zeros(1)}, metadata, "more is none of its net's arrays"),
    ]
    path = tmp_path / "changed.safetensors"
    for changed, header, message in cases:
        save_file(changed, path, header)
        with pytest.raises(AlexNetError, match=rf"^{path}: damaged: .*{message}") as error:
            read_weights(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("kept", [0, 1, 7, 100, 3000, -1])
def test_a_truncated_safetensors_file_is_refused(tmp_path, kept):
    path = tmp_path / "net.safetensors"
    path.write_bytes(Path(f"{TORCH}.safetensors").read_bytes()[:kept])
    with pytest.raises(AlexNetError, match=rf"^{path}: not a whole safetensors file"):
        read_weights(path)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (f"{TORCH}.pth", "net.safetensors"),
        (f"{TORCH}.safetensors", "net.pth"),
        (f"{TORCH}.pth", "net.caffemodel"),
        (f"{CAFFE}.caffemodel", "net.pth"),
        (f"{CAFFE}.caffemodel", "net.safetensors"),
        (REFERENCES / "caffe" / "tiny_mean.binaryproto", "net.caffemodel"),
        (Path(__file__), "net.pth"),
    ],
)
def test_a_renamed_file_is_refused_in_one_line(tmp_path, source, name):
    shutil.copy(source, tmp_path / name)
    with pytest.raises(AlexNetError, match=name) as error:
        read_weights(tmp_path / name)
    assert "\n" not in str(error.value)


def test_what_cannot_be_read_or_written_is_refused(trained, tmp_path):
    save_file({"backbone.weight": np.zeros(3, np.float32)}, tmp_path / "other.safetensors")
    layers = load_file(f"{TORCH}.safetensors")
    save_file({name: layers[name] for name in list(layers)[2:]}, tmp_path / "part.safetensors")
    (tmp_path / "there.safetensors").touch()
    cases = [
        (lambda: read_weights(tmp_path / "no.pth"), "no such file or folder"),
        (lambda: read_weights(Path(__file__)), "in work folders or in files ending in .safetensors, .pth, .pt"),
        (lambda: read_weights(tmp_path / "other.safetensors"), "holds 'backbone.weight', which is no layer"),
        (lambda: read_weights(tmp_path / "part.safetensors"), "has no kernel and bias|no named net"),
        (
            lambda: read_weights(Path(f"{TORCH}.pth")),
            "has the shapes of no named net: say which net it is with --variant",
        ),
        (lambda: read_weights(Path(f"{TORCH}.pth"), "torchvison"), "did you mean torchvision"),
        (lambda: read_weights(Path(f"{TORCH}.pth"), "paper"), "conv2 has the shapes"),
        (lambda: read_weights(Path(f"{TORCH}.pth"), "cifar10_plain"), "holds the layers conv1, .* and the net has"),
        (lambda: read_weights(Path(f"{TORCH}.pth"), mean=Path("mean")), "--mean is mean: it belongs to .caffemodel"),
        (lambda: write_weights(trained, tmp_path / "net.pth"), "name a file ending in .safetensors"),
        (lambda: write_weights(trained, tmp_path / "there.safetensors"), "is there already"),
    ]
    for refused, message in cases:
        with pytest.raises(AlexNetError, match=message) as error:
            refused()
        assert "\n" not in str(error.value)


def test_a_run_begins_with_other_weights_and_draws_the_head_for_other_classes(trained):
    config = dataclasses.replace(config_for(trained, tiny_config()), init="net.safetensors")
    assert config.model == trained.config.model
    for classes in (10, 4):
        changed = dataclasses.replace(config, model=dataclasses.replace(config.model, classes=classes))
        new = jax.jit(lambda key, changed=changed: create_train_state(changed, key))(jax.random.key(5))
        said = []
        state = begin_with(trained, new, changed, said.append)
        want = trained.params if classes == 10 else trained.params | {"fc8": new.params["fc8"]}
        assert_same(state.params, want)
        assert ("fc8 is drawn anew: 4 classes, not 10" in said[0]) == (classes == 4)


def test_a_run_of_another_net_cannot_begin_with_it(trained):
    config = dataclasses.replace(config_for(trained, tiny_config()), init="net.safetensors")
    new = jax.eval_shape(lambda key: create_train_state(config, key), jax.random.key(0))
    other = dataclasses.replace(config, model=tiny_model("caffe_alexnet"))
    with pytest.raises(UsageError, match=r"model\..* is .*: net.safetensors has"):
        begin_with(trained, new, other)
    other = dataclasses.replace(config, augment=dataclasses.replace(config.augment, divide_by_stddev=True))
    with pytest.raises(UsageError, match=r"augment\.divide_by_stddev is True: net.safetensors has False"):
        begin_with(trained, new, other)
