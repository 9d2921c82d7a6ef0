"""The values that reference programs computed, and the nets, weights and images that they computed them from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from alexnet_jax.config import ModelConfig
from alexnet_jax.weights.channels_first import from_channels_first
from tests.helpers.nets import tiny_model

REFERENCES = Path(__file__).parents[1] / "references"

CAFFE, TORCH = ["caffe_alexnet", "caffenet"], ["torchvision", "single_tower"]


def reference(name):
    """The arrays that Caffe or PyTorch computed for a net. ``tests/references/README.md`` lists them."""
    return np.load(REFERENCES / ("caffe" if name in CAFFE else "torch") / f"{name}.npz")


def tiny(name) -> ModelConfig:
    """The small net of the references with the structure of ``name``, without dropout."""
    features, size = ((8, 16, 12, 12, 8), 67) if name in CAFFE else ((8, 12, 16, 12, 8), 224)
    model = tiny_model(name, features=features)
    return dataclasses.replace(model, image_size=size, dropout=dataclasses.replace(model.dropout, rate=0.0))


def draw(name, config, seed, batch):
    """The parameters, the images (batch, height, width, RGB) and the first pixels that the reference program drew."""
    rng = np.random.RandomState(seed)
    layers, inputs = {}, 3
    shapes = []
    for number, conv in enumerate(config.convs, start=1):
        shapes.append((f"conv{number}", (conv.features, inputs // conv.groups, conv.kernel_size, conv.kernel_size)))
        inputs = conv.features
    inputs *= list(config.image_sizes())[-1][1] ** 2
    for layer, width in zip(
        config.dense_names, [*(dense.features for dense in config.dense), config.classes], strict=True
    ):
        shapes.append((layer, (width, inputs)))
        inputs = width
    for layer, shape in shapes:
        stddev = 0.01 if layer == "conv1" and name in CAFFE else round(float(np.sqrt(2 / np.prod(shape[1:]))), 4)
        kernel = (stddev * rng.standard_normal(shape)).astype(np.float32)
        layers[layer] = {"kernel": kernel, "bias": (0.1 * rng.standard_normal(shape[0])).astype(np.float32)}
    scale = 60 if name in CAFFE else 1
    pixels = (scale * rng.standard_normal((batch, 3, config.image_size, config.image_size))).astype(np.float32)
    images = pixels.transpose(0, 2, 3, 1)
    if name in CAFFE:
        images = images[..., ::-1]
    return from_channels_first(layers, config, is_bgr=name in CAFFE), jnp.asarray(images), pixels.ravel()[:8]


def difference(found, expected):
    """The largest difference, as a fraction of the largest expected value."""
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    return np.abs(found - expected).max() / np.abs(expected).max()
