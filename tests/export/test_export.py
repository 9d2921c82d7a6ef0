"""Exported nets return the logits of the original net, for any number of images."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest

from alexnet_jax.config import AugmentConfig, DataConfig, Dropout, TrainConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.export.onnx import export_onnx
from alexnet_jax.export.stablehlo import export_stablehlo
from alexnet_jax.preprocessing.statistics import Statistics, published_statistics
from alexnet_jax.training.steps.eval_step import logits_step
from alexnet_jax.training.steps.state import TrainState, create_train_state
from alexnet_jax.variants import VARIANTS, variant
from tests.helpers.nets import tiny_model
from tests.helpers.slow import slow, slow_except


def tiny(name) -> TrainConfig:
    """A run of a tiny net, on images with a margin of 7 pixels.

    At 74 pixels the last window of conv1 extends past the edge or leaves pixels unread, as at full size.
    """
    size = min(variant(name).image_size, 74)
    model = dataclasses.replace(tiny_model(name), image_size=size)
    return TrainConfig(model=model, data=DataConfig(image_size=size + 7))


def mean_image(config) -> Statistics:
    """Random statistics with a mean image."""
    rng, size, channels = np.random.default_rng(1), config.data.image_size, config.model.channels
    mean = rng.uniform(60, 180, (size, size, channels))
    return Statistics(jnp.asarray(mean, jnp.float32), jnp.eye(channels, dtype=jnp.float32))


def drawn_state(config, statistics) -> TrainState:
    """Random parameters of one scale, so that every layer and every bias contributes to the logits."""
    rng = np.random.default_rng(0)

    def draw(leaf):
        return (rng.standard_normal(leaf.shape) * math.sqrt(2 / math.prod(leaf.shape[:-1]))).astype(np.float32)

    shapes = jax.eval_shape(partial(create_train_state, config), jax.random.key(0), statistics)
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
    batch_stats = {
        layer: {"mean": draw(leaves["mean"]), "var": draw(leaves["var"]) ** 2 + 0.1}
        for layer, leaves in shapes.batch_stats.items()
    }
    return state.replace(params=jax.tree.map(draw, shapes.params), batch_stats=batch_stats, statistics=statistics)


@cache
def case(name):
    """A config, a state, stored images and their logits."""
    config = tiny(name)
    return prepare(config, mean_image(config))


def prepare(config, statistics):
    state = drawn_state(config, statistics)
    size, channels = config.data.image_size, config.model.channels
    images = np.random.default_rng(2).integers(0, 256, (5, size, size, channels), dtype=np.uint8)
    logits = jax.jit(partial(logits_step, config=config))(state, images)
    return config, state, images, np.asarray(logits)


def check_batches(run, images, want):
    for count in (1, 5):
        found = np.asarray(run(images[:count]))
        assert found.shape == (count, want.shape[1])
        assert found.dtype == np.float32
        assert np.abs(found - want[:count]).max() < 1e-5 * np.abs(want).max()


QUICK = {"paper", "original", "torchvision", "cifar10_11pct", "cifar10_18pct"}


def onnx_runner(exported):
    onnx.checker.check_model(exported, full_check=True)
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    return lambda images: session.run(["logits"], {"images": images})[0]


@pytest.mark.parametrize("name", slow_except(QUICK, VARIANTS))
def test_onnx_gives_the_logits_of_every_variant(name):
    config, state, images, want = case(name)
    check_batches(onnx_runner(export_onnx(config, state)), images, want)


@pytest.mark.parametrize(
    "name",
    [
        "paper",
        slow("original"),
        slow("caffe_alexnet"),
        "alexnet_bn",
        "torchvision",
        slow("d2l"),
        "layer_file_150",
        "cifar10_11pct",
        slow("cifar10_18pct"),
    ],
)
def test_stablehlo_gives_the_logits_on_three_platforms(name):
    config, state, images, want = case(name)
    program = jax.export.deserialize(bytearray(export_stablehlo(config, state)))
    assert program.platforms == ("cpu", "cuda", "tpu")
    check_batches(jax.jit(program.call), images, want)


@pytest.mark.parametrize("place", ["before", "after"])
def test_pixels_and_dropout_of_other_recipes(place):
    config = tiny("torchvision")
    model = dataclasses.replace(config.model, dropout=Dropout(rate=0.3, place=place, scaled_in="test"))
    augment = AugmentConfig(mean="channel", divide_by_stddev=True, pixel_scale=0.25)
    config = dataclasses.replace(config, model=model, augment=augment, data=DataConfig(image_size=model.image_size))
    config, state, images, want = prepare(config, published_statistics(3))
    check_batches(onnx_runner(export_onnx(config, state)), images, want)


def test_average_pooling_before_the_dense_layers():
    config = tiny("torchvision")
    model = dataclasses.replace(config.model, image_size=166, pool_before_dense=True)
    assert dict(model.image_sizes())["pool6"] == 2
    config = dataclasses.replace(config, model=model, data=DataConfig(image_size=173))
    config, state, images, want = prepare(config, published_statistics(3))
    check_batches(onnx_runner(export_onnx(config, state)), images, want)


def test_nodes_of_the_onnx_graph_have_the_names_of_the_layers():
    config, state, _, _ = case("original")
    graph = onnx.load_from_string(export_onnx(config, state)).graph
    names = [node.name for node in graph.node]
    assert [name for name in names if name in [layer.name for layer in config.model.layers()]] == [
        layer.name for layer in config.model.layers()
    ]
    shapes = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.value_info, *graph.output)
    }
    assert shapes["images"] == ["batch", 81, 81, 3]
    assert shapes["conv1"] == ["batch", 8, 17, 17]
    assert shapes["norm2"] == ["batch", 16, 8, 8]
    assert shapes["logits"] == ["batch", 10]


@pytest.mark.parametrize(("export", "package"), [(export_onnx, "onnx"), (export_stablehlo, "flatbuffers")])
def test_a_missing_package_is_one_line_that_says_how_to_install_it(monkeypatch, export, package):
    config, state, _, _ = case("paper")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"needs the package {package}: install it with `pip install {package}`, or"):
        export(config, state)


def test_the_onnx_metadata_holds_the_class_names():
    config, state, _, _ = case("original")
    names = tuple(f"class \u00e9 {label}" for label in range(10))
    (entry,) = onnx.load_from_string(export_onnx(config, state, names)).metadata_props
    assert (entry.key, tuple(json.loads(entry.value))) == ("class_names", names)
    assert not onnx.load_from_string(export_onnx(config, state)).metadata_props
