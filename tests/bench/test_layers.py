"""Operations of a net, one at a time."""

from __future__ import annotations

import jax
import numpy as np

from alexnet_jax.bench.layers import OneLayer
from alexnet_jax.net.model import AlexNet
from tests.bench.conftest import tiny


def test_operations_in_order_equal_the_net():
    config = tiny()
    images = jax.random.normal(jax.random.key(0), (2, 28, 28, 3), np.float32)
    net = AlexNet(config)
    params = jax.jit(net.init)(jax.random.key(1), images)["params"]
    logits, seen = net.apply({"params": params}, images, train=False, mutable="intermediates")
    x = images
    for layer in config.layers():
        own = {layer.name: params[layer.name]} if layer.name in params else {}
        x = OneLayer(config, layer=layer).apply({"params": own}, x, train=False)
        np.testing.assert_array_equal(x, seen["intermediates"][layer.name], err_msg=layer.name)
    np.testing.assert_array_equal(x, logits)
