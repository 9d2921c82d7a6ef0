"""Torchvision's names."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.training.steps.state import abstract_train_state
from alexnet_jax.variants import variant
from alexnet_jax.weights.channels_first import layer_shapes
from alexnet_jax.weights.torchvision import state_dict, torchvision_names, weights_from_state_dict
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.trees import assert_same


def test_names_are_those_of_torchvision():
    names = torchvision_names(variant("torchvision"))
    assert names == {
        "conv1": "features.0",
        "conv2": "features.3",
        "conv3": "features.6",
        "conv4": "features.8",
        "conv5": "features.10",
        "fc6": "classifier.1",
        "fc7": "classifier.4",
        "fc8": "classifier.6",
    }


@pytest.mark.parametrize("name", ["paper", "caffenet", "one_gpu"])
def test_other_variants_round_trip_through_a_state_dict(name):
    model = tiny_model(name)
    form = abstract_train_state(tiny_config(model=model)).params
    params = jax.tree.map(lambda leaf: np.arange(leaf.size, dtype=np.float32).reshape(leaf.shape), form)
    state = state_dict(params, model)
    assert state["features.0.weight"].shape == (8, 3, 11, 11)
    again = weights_from_state_dict(state, model)
    assert again.config.model == model
    assert_same(again.params, params)


@pytest.mark.parametrize("name", ["torchvision", "one_weird_trick", "single_tower", "shili8"])
def test_the_names_of_modules_tell_nets_with_the_same_shapes_apart(name):
    model = variant(name)
    state = {}
    for layer, shape in layer_shapes(model).items():
        module = torchvision_names(model)[layer]
        state |= {f"{module}.weight": np.zeros(shape, np.float32), f"{module}.bias": np.zeros(shape[0], np.float32)}
    assert weights_from_state_dict(state, None).config.model == model


@pytest.mark.parametrize(
    ("name", "message"),
    [("cifar10_13pct", "conv3 is locally"), ("layer_file_150", "fc6 has g"), ("alexnet_bn", "bn2 is batch norm")],
)
def test_layers_that_pytorch_does_not_have_are_refused(name, message):
    with pytest.raises(UsageError, match=message):
        state_dict({}, variant(name))


def test_a_layer_without_bias_is_refused():
    state = {"features.0.weight": np.zeros((8, 3, 11, 11), np.float32)}
    with pytest.raises(AlexNetError, match="conv1 does not consist of a kernel and a bias"):
        weights_from_state_dict(state, None)
