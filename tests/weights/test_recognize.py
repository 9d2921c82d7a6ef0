"""Recognition of a net by the shapes of its layers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.variants import VARIANTS, variant
from alexnet_jax.weights.channels_first import bias_shape, layer_shapes
from alexnet_jax.weights.recognize import recognize_shapes, with_widths

UNIQUE_SHAPES = [
    "one_gpu", "layer_file_146", "layer_file_150", "single_tower_227", "d2l", "slim_v2", "cifar10_11pct",
    "cifar10_18pct", "small",
]  # fmt: skip


def zeros(name, classes=1000):
    """Layers with the shapes of a named net. They take no memory."""
    config = dataclasses.replace(variant(name), classes=classes)
    return {
        layer: {
            kind: np.broadcast_to(np.float32(0), size)
            for kind, size in (("kernel", shape), ("bias", bias_shape(shape)))
        }
        for layer, shape in layer_shapes(config).items()
    }


@pytest.mark.parametrize("name", UNIQUE_SHAPES)
def test_nets_with_unique_shapes_are_recognised_with_any_number_of_classes(name):
    assert recognize_shapes(zeros(name, 6)) == dataclasses.replace(variant(name), classes=6)


def test_a_net_with_batch_normalisation_is_not_recognised_by_its_kernels():
    with pytest.raises(UsageError, match="its shapes fit") as error:
        recognize_shapes(zeros("alexnet_bn"))
    assert "alexnet_bn" not in str(error.value)


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - set(UNIQUE_SHAPES) - {"alexnet_bn"}))
def test_shapes_that_several_nets_share_are_refused(name):
    with pytest.raises(UsageError, match=rf"its shapes fit .*{name}.*: pass --variant to choose one"):
        recognize_shapes(zeros(name))


def test_a_preference_chooses_among_nets_with_the_same_shapes():
    found = recognize_shapes(zeros("torchvision"), lambda config: config.dropout.place == "before")
    assert found == variant("torchvision")


def test_widths_come_from_the_layers():
    narrow = dataclasses.replace(
        variant("torchvision"),
        convs=tuple(dataclasses.replace(conv, features=8) for conv in variant("torchvision").convs),
        dense=tuple(dataclasses.replace(dense, features=4) for dense in variant("torchvision").dense),
        classes=5,
        channels=1,
    )
    layers = {
        name: {"kernel": np.zeros(shape), "bias": np.zeros(shape[0])} for name, shape in layer_shapes(narrow).items()
    }
    assert with_widths(variant("torchvision"), layers) == narrow


def test_widths_of_a_net_with_other_layers_are_refused():
    with pytest.raises(AlexNetError, match=r"its layers are conv1, .* and the net has conv1, .*"):
        with_widths(variant("cifar10_conv_relu"), zeros("torchvision"))
