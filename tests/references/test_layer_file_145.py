"""The variant `original` against its layer file, written in NumPy with its constants and order of layers."""

from __future__ import annotations

import dataclasses
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import AugmentConfig, DataConfig, TrainConfig
from alexnet_jax.net.model import AlexNet
from alexnet_jax.preprocessing.statistics import Statistics
from alexnet_jax.training.layouts import choose_layout
from alexnet_jax.training.steps.metrics import cross_entropy
from alexnet_jax.training.steps.state import create_train_state
from tests.helpers import formulas
from tests.helpers.nets import tiny_model

pytestmark = pytest.mark.optimized


def layer_file_145(params, images):
    """The logits at test time of the authors' layers-145.cfg for images minus the mean, in float64.

    Each line is a layer of the file. Its normalisations divide the scale by the window size. Pooling and conv1 have a
    last window that extends past the edge.
    """

    def conv(x, name, stride, padding, rounding, groups):
        return formulas.convolution(x, params[name]["kernel"], stride, padding, rounding, groups) + params[name]["bias"]

    def rnorm_across_maps(x):
        return formulas.local_response_norm(x, 5, 2.0, 1e-4 / 5, 0.75, 2)

    def dense(x, name):
        return x @ params[name]["kernel"] + params[name]["bias"]

    x = conv(images, "conv1", 4, 0, "up", 1)
    x = rnorm_across_maps(x)
    x = np.maximum(formulas.max_pool(x, 3, 2, "up"), 0)
    x = np.maximum(conv(x, "conv2", 1, 2, "down", 2), 0)
    x = rnorm_across_maps(x)
    x = formulas.spatial_response_norm(x, 5, 1.0, 0.001, 0.75)
    x = formulas.max_pool(x, 3, 2, "up")
    x = np.maximum(conv(x, "conv3", 1, 1, "down", 1), 0)
    x = np.maximum(conv(x, "conv4", 1, 1, "down", 2), 0)
    x = conv(x, "conv5", 1, 1, "down", 2)
    x = np.maximum(formulas.max_pool(x, 3, 2, "up"), 0)
    x = 0.5 * np.maximum(dense(x.reshape(len(x), -1), "fc6"), 0)
    x = 0.5 * np.maximum(dense(x, "fc7"), 0)
    return dense(x, "fc8")


@cache
def case():
    """The net with few channels, at 224 pixels; its state with random parameters; stored images."""
    model = dataclasses.replace(tiny_model("original"), image_size=224)
    config = TrainConfig(model, DataConfig(image_size=224), AugmentConfig(mean="channel"))
    rng = np.random.default_rng(0)
    statistics = Statistics(jnp.full((3,), 120.0, jnp.float32), jnp.eye(3, dtype=jnp.float32))
    shapes = jax.eval_shape(lambda key: create_train_state(config, key, statistics), jax.random.key(0))
    state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)

    def draw(leaf):  # large enough that both normalisations matter
        return (rng.standard_normal(leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))).astype(np.float32)

    state = state.replace(params=jax.tree.map(draw, shapes.params), statistics=statistics)
    return config, state, rng.integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


@pytest.mark.parametrize("devices", [1, 2])
def test_logits_match_the_layer_file(devices):
    config, state, images = case()
    logits = layer_file_145(state.params, images.astype(np.float64) - 120)
    want = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    layout = choose_layout(config, devices)
    found = layout.predict_step(layout.place(state), jnp.asarray(images), "center")
    assert np.abs(found - want).max() < 1e-5 * np.abs(logits).max()


@pytest.mark.slow
def test_gradients_match_the_slopes_of_the_loss_of_the_layer_file():
    config, state, images = case()
    pixels, labels = images.astype(np.float64) - 120, np.array([3, 7])
    rng = np.random.default_rng(1)

    def reference_loss(params):
        logits = layer_file_145(params, pixels)
        return (np.log(np.exp(logits).sum(-1)) - logits[np.arange(2), labels]).mean()

    def loss(params):
        logits = AlexNet(config.model).apply({"params": params}, jnp.asarray(pixels, jnp.float32))
        return cross_entropy(logits, jnp.asarray(labels)).mean()

    gradient = jax.jit(jax.grad(loss))(jax.tree.map(jnp.asarray, state.params))
    for layer in state.params:
        for kind, values in state.params[layer].items():
            direction = rng.standard_normal(values.shape) * np.abs(values).mean()
            losses = [
                reference_loss(
                    state.params | {layer: state.params[layer] | {kind: values.astype(np.float64) + step * direction}}
                )
                for step in (1e-6, -1e-6)
            ]
            slope = (losses[0] - losses[1]) / 2e-6
            assert np.vdot(gradient[layer][kind], direction) == pytest.approx(slope, rel=1e-3, abs=1e-4), (layer, kind)
