"""The nets against Caffe and PyTorch, on the same weights and pixels.

``README.md`` has the versions, how inputs were drawn, and how much each likely mistake would change a result.
Differences are max |a - b| / max |b| within an array.
"""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import AugmentConfig, DataConfig, Dropout, OptimizerConfig
from alexnet_jax.net.model import AlexNet
from alexnet_jax.ops.backends import use_forms
from alexnet_jax.presets import preset
from alexnet_jax.training.layouts import choose_layout
from alexnet_jax.training.optimizer.rules import make_optimizer
from alexnet_jax.training.optimizer.schedule import Rates
from alexnet_jax.training.steps.metrics import cross_entropy
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.variants import variant
from alexnet_jax.weights.channels_first import from_channels_first, to_channels_first
from tests.helpers.references import CAFFE, TORCH, difference, draw, reference, tiny
from tests.helpers.slow import slow_except

pytestmark = pytest.mark.optimized


@pytest.mark.slow
@pytest.mark.parametrize("name", CAFFE + TORCH)
def test_forward_at_full_size(name):
    expected, config = reference(name), variant(name)
    params, images, head = draw(name, config, seed=0, batch=2)
    np.testing.assert_array_equal(head, expected["full/pixels_head"])
    net = AlexNet(config)
    logits, seen = jax.jit(partial(net.apply, mutable="intermediates"))({"params": params}, images)
    assert difference(logits, expected["full/fc8"]) < 1e-5
    after_relu = {"conv1": "relu1", "conv2": "relu2", "conv3": "relu3", "conv4": "relu4", "conv5": "relu5"}
    after_relu |= {"fc6": "relu6", "fc7": "relu7"}
    for key in [key for key in expected if key.startswith("full/probe/") and key.endswith("/values")]:
        blob = key.split("/")[2]
        ours = seen["intermediates"][after_relu.get(blob, blob)]
        flat = np.moveaxis(np.asarray(ours), -1, 1).ravel()
        np.testing.assert_allclose(
            flat[expected[f"full/probe/{blob}/positions"]], expected[key], rtol=1e-4, atol=1e-4 * flat.max()
        )


def make_loss(config, images):
    labels = jnp.arange(len(images))

    def loss(params):
        logits = AlexNet(config).apply({"params": params}, images, train=False)
        return cross_entropy(logits, labels).mean(), logits

    return loss


@pytest.mark.parametrize("name", slow_except({"caffe_alexnet", "torchvision"}, CAFFE + TORCH))
def test_gradients_and_five_steps(name):
    # In the second step, two pixels in one window of pool1 differ by less than the rounding of Winograd convolution.
    with use_forms(convolve="plain"):
        check_five_steps(name)


def check_five_steps(name):
    expected, config = reference("torchvision" if name in TORCH else name), tiny(name)
    bgr = name in CAFFE
    params, images, head = draw(name, config, seed=1, batch=6 if bgr else 4)
    np.testing.assert_array_equal(head, expected["tiny/pixels_head"])
    gradient = jax.jit(jax.value_and_grad(make_loss(config, images), has_aux=True))
    if bgr:  # README.md explains these rates
        optimizer = make_optimizer(OptimizerConfig(weight_decay=0.5))
        rates = [Rates(jnp.float32(rate), jnp.float32(2 * rate)) for rate in (1e-4, 1e-4, 1e-4, 1e-5, 1e-5)]
    else:
        optimizer = make_optimizer(OptimizerConfig(weight_decay=1e-4, bias_decay=1e-4, rule="optax_sgd"))
        rates = [Rates(jnp.float32(rate), jnp.float32(rate)) for rate in (0.01, 0.01, 0.01, 0.001, 0.001)]
    params = jax.tree.map(jnp.asarray, params)
    state, losses = optimizer.init(params), []
    for step, rate in enumerate(rates):
        (loss, logits), gradients = gradient(params)
        losses.append(loss)
        if step == 0:
            assert difference(logits, expected["tiny/logits"]) < 1e-5
            check_layers(to_channels_first(gradients, config, is_bgr=bgr), expected, "grad", 1e-5)
        updates, state = optimizer.update(gradients, state, params, rates=rate)
        params = jax.tree.map(jnp.add, params, updates)
    np.testing.assert_allclose(losses, expected["tiny/losses"], rtol=1e-5)
    check_layers(to_channels_first(params, config, is_bgr=bgr), expected, "after", 2e-6)


def check_layers(layers, expected, part, tolerance):
    for name, layer in layers.items():
        for kind, values in layer.items():
            assert difference(values, expected[f"tiny/{part}/{name}/{kind}"]) < tolerance, (name, kind)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["caffe_alexnet", "caffenet"])
def test_two_devices_equal_one_where_normalisation_spans_towers(name):
    """Caffe normalises across the towers, so the devices exchange channels."""
    model = tiny(name)
    config = dataclasses.replace(
        preset("quickstart"),
        model=model,
        data=DataConfig(image_size=67, train_examples=32),
        augment=AugmentConfig(horizontal_flip=False, pca_colour_noise=0.0, mean="channel"),
    )
    params, images, _ = draw(name, model, seed=1, batch=6)
    # Stored images are whole numbers, so these are only close to Caffe's. One device is the reference here.
    stored = jnp.clip(jnp.round(images + 127), 0, 255).astype(jnp.uint8)
    batch = {"image": stored, "label": jnp.arange(6, dtype=jnp.int32)}
    state = create_train_state(config, jax.random.key(0)).replace(params=jax.tree.map(jnp.asarray, params))
    results = []
    for devices in (1, 2):
        layout = choose_layout(config, devices)
        stepped, metrics = layout.train_step(layout.place(state), batch, jax.random.key(1))
        results.append((metrics, layout.collect(stepped).opt_state))
    jax.tree.map(lambda a, b: None if np.abs(b).max() == 0 else check_close(a, b), results[1], results[0])


def check_close(found, expected):
    assert difference(found, expected) < 3e-6


@pytest.mark.parametrize("name", CAFFE + TORCH)
def test_channels_first_round_trip_is_exact(name):
    config = dataclasses.replace(tiny(name), dropout=Dropout())
    params, _, _ = draw(name, config, seed=3, batch=1)
    again = from_channels_first(to_channels_first(params, config, is_bgr=True), config, is_bgr=True)
    jax.tree.map(np.testing.assert_array_equal, again, params)
