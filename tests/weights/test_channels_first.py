"""Kernels from the memory format of PyTorch and Caffe."""

from __future__ import annotations

from dataclasses import replace

import jax
import numpy as np
import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.net.model import AlexNet
from alexnet_jax.variants import small, variant
from alexnet_jax.weights.channels_first import bias_shape, from_channels_first, layer_shapes, to_channels_first
from tests.helpers.nets import tiny_model

CONFIG = small()
RNG = np.random.default_rng(0)
LAYERS = {
    name: {"kernel": RNG.random(shape, np.float32), "bias": RNG.random(shape[0], np.float32)}
    for name, shape in layer_shapes(CONFIG).items()
}


@pytest.mark.parametrize("is_bgr", [False, True])
def test_convolution_kernels_are_transposed_and_only_the_first_reads_bgr(is_bgr):
    params = from_channels_first(LAYERS, CONFIG, is_bgr=is_bgr)
    first = LAYERS["conv1"]["kernel"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(params["conv1"]["kernel"], first[:, :, ::-1] if is_bgr else first)
    np.testing.assert_array_equal(params["conv2"]["kernel"], LAYERS["conv2"]["kernel"].transpose(2, 3, 1, 0))
    np.testing.assert_array_equal(params["conv1"]["bias"], LAYERS["conv1"]["bias"])


def test_the_first_dense_layer_reads_the_same_image():
    name = CONFIG.dense_names[0]
    (*_, (_, size)) = CONFIG.image_sizes()
    image = RNG.random((size, size, CONFIG.convs[-1].features), np.float32)
    theirs, ours = LAYERS[name]["kernel"], from_channels_first(LAYERS, CONFIG, is_bgr=False)[name]["kernel"]
    np.testing.assert_allclose(image.ravel() @ ours, theirs @ image.transpose(2, 0, 1).ravel(), rtol=1e-5)


def test_other_dense_layers_are_transposed():
    name = CONFIG.dense_names[-1]
    params = from_channels_first(LAYERS, CONFIG, is_bgr=False)
    np.testing.assert_array_equal(params[name]["kernel"], LAYERS[name]["kernel"].T)


@pytest.mark.parametrize("is_bgr", [False, True])
def test_round_trip_is_exact(is_bgr):
    again = to_channels_first(from_channels_first(LAYERS, CONFIG, is_bgr=is_bgr), CONFIG, is_bgr=is_bgr)
    for name, layer in LAYERS.items():
        for kind, array in layer.items():
            np.testing.assert_array_equal(again[name][kind], array)


@pytest.mark.parametrize("name", ["layer_file_150", "cifar10_13pct"])
def test_local_kernels_and_groups_of_dense_layers_round_trip(name):
    config = tiny_model(name)
    config = replace(config, image_size=min(67, variant(name).image_size))
    layers = {
        layer: {"kernel": RNG.random(shape, np.float32), "bias": RNG.random(bias_shape(shape), np.float32)}
        for layer, shape in layer_shapes(config).items()
    }
    params = from_channels_first(layers, config, is_bgr=False)
    images = jax.ShapeDtypeStruct((1, config.image_size, config.image_size, 3), np.float32)
    shapes = jax.eval_shape(AlexNet(config).init, jax.random.key(0), images)["params"]
    assert jax.tree.map(np.shape, params) == jax.tree.map(lambda leaf: leaf.shape, shapes)
    again = to_channels_first(params, config, is_bgr=False)
    jax.tree.map(np.testing.assert_array_equal, again, layers)


def test_missing_layers_and_other_shapes_are_refused():
    without = {name: layer for name, layer in LAYERS.items() if name != "conv2"}
    with pytest.raises(AlexNetError, match=r"conv2 is missing: the weights have conv1, conv3"):
        from_channels_first(without, CONFIG, is_bgr=False)
    other = LAYERS | {"conv2": {"kernel": LAYERS["conv2"]["kernel"][:-1], "bias": LAYERS["conv2"]["bias"]}}
    with pytest.raises(AlexNetError, match=r"conv2 has the shapes \(.*\) and \(.*\), not"):
        from_channels_first(other, CONFIG, is_bgr=False)
