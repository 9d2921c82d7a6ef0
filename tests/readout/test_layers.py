"""Names of layers."""

from __future__ import annotations

import re

import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.readout.layers import find_layers, last_hidden_layer, usual_layers
from alexnet_jax.variants import variant


def stand_ins(config, end=None):
    """The tree of parameters without its arrays, up to the layer ``end``."""
    names = config.layer_names
    return dict.fromkeys(names if end is None else names[: names.index(end) + 1])


@pytest.mark.parametrize("name", ["torchvision", "caffe_alexnet", "paper", "single_tower"])
def test_torchvisions_names_mean_the_same_in_every_net(name):
    config = variant(name)
    asked = {
        "features.2": "pool1",
        "features.7": "relu3",
        "features.12": "pool5",
        "classifier.1": "fc6",
        "classifier.4": "fc7",
        "classifier.6": "fc8",
        "conv5": "conv5",
    }
    assert find_layers(list(asked), stand_ins(config), config) == asked


def test_unknown_layers_name_near_ones():
    config = variant("torchvision")
    for name, near in {
        "convv5": "did you mean conv5",
        "feature.12": "features.12",
        "classifier.9": "classifier.",
    }.items():
        with pytest.raises(UsageError, match=re.escape(near)):
            find_layers([name], stand_ins(config), config)


def test_a_net_of_convolutions_has_layers_up_to_the_last_pooling():
    config = variant("torchvision")
    params = stand_ins(config, "conv5")
    assert usual_layers(params, config) == ("pool1", "pool2", "relu3", "relu4", "pool5")
    assert last_hidden_layer(params, config) == "pool5"
    with pytest.raises(UsageError, match="layer fc6: these weights end at pool5"):
        find_layers(["classifier.1"], params, config)


@pytest.mark.parametrize(
    ("name", "layer"), [("paper", "relu7"), ("small", "relu7"), ("cifar10_18pct", "pool3"), ("cifar10_11pct", "relu4")]
)
def test_images_are_compared_in_the_last_layer_before_the_classifier(name, layer):
    config = variant(name)
    assert last_hidden_layer(stand_ins(config), config) == layer


def test_usual_layers_end_every_block():
    config = variant("paper")
    params = stand_ins(config)
    assert usual_layers(params, config) == ("pool1", "pool2", "relu3", "relu4", "pool5", "relu6", "relu7", "fc8")
    assert last_hidden_layer(params, config) == "relu7"
