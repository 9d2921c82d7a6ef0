"""The fully convolutional net on images larger than its crops."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.net.model import AlexNet
from tests.helpers.nets import tiny_model


def net_and_params(name, image_size=67):
    config = dataclasses.replace(tiny_model(name), image_size=image_size)
    sliding = AlexNet(config, fully_convolutional=True)
    images = jnp.zeros((1, image_size, image_size, 3), jnp.float32)
    return config, sliding, jax.jit(AlexNet(config).init)(jax.random.key(0), images)["params"]


def logits_of(net, params, images):
    return jax.jit(net.apply)({"params": params}, images)


def pixels(height, width):
    return 60 * jax.random.normal(jax.random.key(1), (2, height, width, 3), jnp.float32)


@pytest.mark.parametrize(("name", "image_size"), [("paper", 99), ("original", 67), ("caffenet", 99), ("slim_v2", 130)])
def test_an_image_of_crop_size_has_one_place_with_the_ordinary_logits(name, image_size):
    config, sliding, params = net_and_params(name, image_size)
    images = pixels(image_size, image_size)
    logits = logits_of(AlexNet(config), params, images)
    found = logits_of(sliding, params, images)
    assert found.shape == (2, 1, 1, 10)
    np.testing.assert_allclose(found[:, 0, 0], logits, rtol=2e-5, atol=2e-5)


def test_map_holds_the_dense_layers_at_each_place_of_the_last_pooling():
    config, sliding, params = net_and_params("paper", 99)
    slide = jax.jit(partial(sliding.apply, mutable="intermediates"))
    found, seen = slide({"params": params}, pixels(163, 131))
    pooled = np.asarray(seen["intermediates"]["pool5"])
    side = list(config.image_sizes())[-1][1]
    rows, columns = (count - side + 1 for count in pooled.shape[1:3])
    assert found.shape == (2, rows, columns, 10)
    assert rows > columns > 1
    for row in range(rows):
        for column in range(columns):
            x = pooled[:, row : row + side, column : column + side].reshape(2, -1)
            for name in config.dense_names:
                x = x @ params[name]["kernel"] + params[name]["bias"].reshape(1, -1)
                x = x if name == "fc8" else np.maximum(x, 0) * 0.5
            np.testing.assert_allclose(found[:, row, column], x, rtol=1e-4, atol=1e-4)


def test_padding_makes_the_logits_differ_from_those_of_a_crop():
    _, sliding, params = net_and_params("paper", 99)
    images = pixels(163, 163)
    place = logits_of(sliding, params, images)[:, 0, 0]
    crop = logits_of(sliding, params, images[:, :99, :99])[:, 0, 0]
    assert float(jnp.abs(place - crop).max() / jnp.abs(crop).max()) > 0.01


@pytest.mark.slow
def test_two_towers_give_the_map_of_one_device():
    config, sliding, params = net_and_params("caffe_alexnet", 99)
    images = pixels(131, 131)
    halves = jax.tree.map(lambda leaf: leaf.reshape(*leaf.shape[:-1], 2, -1), params)
    axes = jax.tree.map(lambda leaf: leaf.ndim - 2, halves)
    tower = AlexNet(config, tower_axis="tower", fully_convolutional=True)
    slide = jax.pmap(
        lambda params, images: tower.apply({"params": params}, images),
        axis_name="tower",
        in_axes=(axes, None),
        out_axes=None,
    )
    want = logits_of(sliding, params, images)
    np.testing.assert_allclose(slide(halves, images), want, rtol=2e-5, atol=1e-4)
