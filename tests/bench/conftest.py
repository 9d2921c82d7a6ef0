"""A tiny net for benchmarks."""

from __future__ import annotations

import dataclasses

import pytest

from alexnet_jax.config import DenseConfig, ModelConfig
from alexnet_jax.variants import VARIANTS, small


def tiny() -> ModelConfig:
    """Two convolutions of the quick run's net with every operation, and one hidden layer."""
    net = small()
    conv1, conv2, *_ = net.convs
    conv2 = dataclasses.replace(conv2, then=("tanh", "spatial_response_norm", "max_pool"))
    return dataclasses.replace(net, convs=(conv1, conv2), dense=(DenseConfig(8),))


@pytest.fixture(scope="package", autouse=True)
def tiny_variant():
    """Makes the tiny net a named variant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(VARIANTS, "tiny", tiny)
        yield
