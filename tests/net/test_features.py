"""``features`` reads the layers of the net."""

from __future__ import annotations

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.net.features import features, layers_with_parameters
from alexnet_jax.net.model import AlexNet
from tests.helpers.nets import tiny_model

CONFIG = tiny_model("paper")


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(0), (2, 67, 67, 3), jnp.float32)


@pytest.fixture(scope="module")
def params(images):
    return jax.jit(AlexNet(CONFIG).init)(jax.random.key(1), images)["params"]


def test_features_are_the_outputs_of_the_named_layers(params, images):
    found = features(params, images, CONFIG, ["conv5", "fc8", "conv1"])
    logits, state = jax.jit(lambda params: AlexNet(CONFIG).apply(params, images, mutable="intermediates"))(
        {"params": params}
    )
    assert list(found) == ["conv5", "fc8", "conv1"]
    for name, value in found.items():
        np.testing.assert_allclose(value, state["intermediates"][name], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["fc8"], logits, rtol=1e-5, atol=1e-6)


def test_features_do_not_compute_later_layers(params, images):
    read = partial(features, config=CONFIG, names=["conv1"])
    (call,) = jax.make_jaxpr(read)(params, images).eqns
    assert len(call.outvars) == 1
    compiled = jax.jit(read).lower(params, images).compile().as_text()
    assert re.search(r"conv1", compiled)
    assert not re.search(r"conv2|fc6", compiled)


def test_features_can_be_differentiated(params, images):
    def energy(images):
        return jnp.sum(features(params, images, CONFIG, ["conv2"])["conv2"] ** 2)

    assert jnp.abs(jax.grad(energy)(images)).max() > 0


def test_an_unknown_layer_suggests_similar_names(params, images):
    with pytest.raises(UsageError, match=re.escape("unknown layer 'convv5': did you mean conv5")):
        features(params, images, CONFIG, ["convv5"])


def test_weights_of_the_convolutions_alone_give_their_features(params, images):
    convolutions = {name: layer for name, layer in params.items() if name.startswith("conv")}
    found = features(convolutions, images, CONFIG, ["pool5"])
    np.testing.assert_array_equal(found["pool5"], features(params, images, CONFIG, ["pool5"])["pool5"])
    assert layers_with_parameters(convolutions, CONFIG)[-1] == "pool5"
    message = "layer fc6: these weights end at pool5; use one of conv1, relu1"
    with pytest.raises(UsageError, match=re.escape(message)):
        features(convolutions, images, CONFIG, ["fc6"])
