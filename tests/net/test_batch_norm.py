"""Batch normalisation against its formula, in a net that consists of it: its convolution is the identity."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import BatchNorm, ConvConfig, ModelConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.net.features import features
from alexnet_jax.net.model import AlexNet
from tests.helpers import formulas

CHANNELS, EPSILON, DECAY = 4, 0.02, 0.7
CONFIG = ModelConfig(
    (ConvConfig(CHANNELS, 1, then=("batch_norm",)),),
    (),
    image_size=5,
    channels=CHANNELS,
    classes=2,
    batch_norm=BatchNorm(EPSILON, DECAY),
)
RNG = np.random.default_rng(0)
IMAGES = RNG.normal([3, -1, 0, 2], [0.1, 1, 5, 0.5], (6, 5, 5, CHANNELS))
MEAN, VARIANCE = RNG.normal(size=CHANNELS), RNG.uniform(0.5, 2, CHANNELS)
PARAMS = jax.tree.map(
    jnp.asarray,
    {
        "conv1": {
            "kernel": np.eye(CHANNELS, dtype=np.float32).reshape(1, 1, CHANNELS, CHANNELS),
            "bias": np.zeros(4, "f"),
        },
        "fc2": {"kernel": np.zeros((100, 2), np.float32), "bias": np.zeros(2, np.float32)},
    },
)
STATISTICS = {"bn2": {"mean": jnp.asarray(MEAN, jnp.float32), "var": jnp.asarray(VARIANCE, jnp.float32)}}


@partial(jax.jit, static_argnames=("train", "dtype"))
def normalize(images, train, dtype="float32"):
    """The normalised images, and the running statistics afterwards."""
    variables = {"params": PARAMS, "batch_stats": STATISTICS}
    mutable = ["intermediates", "batch_stats"] if train else ["intermediates"]
    _, changed = AlexNet(CONFIG, dtype=dtype).apply(variables, images, train=train, mutable=mutable)
    return changed["intermediates"]["bn2"], changed.get("batch_stats", STATISTICS)["bn2"]


def test_training_normalises_by_the_statistics_of_the_batch():
    found, _ = normalize(jnp.asarray(IMAGES, jnp.float32), train=True)
    axes = (0, 1, 2)
    want = formulas.batch_norm(IMAGES, IMAGES.mean(axes), IMAGES.var(axes), EPSILON)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


def test_training_moves_the_running_statistics_towards_those_of_the_batch():
    _, found = normalize(jnp.asarray(IMAGES, jnp.float32), train=True)
    axes = (0, 1, 2)
    np.testing.assert_allclose(found["mean"], DECAY * MEAN + (1 - DECAY) * IMAGES.mean(axes), rtol=1e-5)
    np.testing.assert_allclose(found["var"], DECAY * VARIANCE + (1 - DECAY) * IMAGES.var(axes), rtol=1e-5)


def test_evaluation_normalises_by_the_running_statistics_and_keeps_them():
    found, statistics = normalize(jnp.asarray(IMAGES, jnp.float32), train=False)
    np.testing.assert_allclose(found, formulas.batch_norm(IMAGES, MEAN, VARIANCE, EPSILON), rtol=1e-5, atol=1e-5)
    assert statistics["mean"].tolist() == STATISTICS["bn2"]["mean"].tolist()


def test_the_gradient_passes_through_the_statistics_of_the_batch():
    slopes = np.random.default_rng(1).normal(size=IMAGES.shape)

    def along(images):
        return (normalize(images, train=True)[0] * jnp.asarray(slopes, jnp.float32)).sum()

    found = jax.grad(along)(jnp.asarray(IMAGES, jnp.float32))
    want = formulas.batch_norm_gradient(IMAGES, slopes, EPSILON)
    for channel in range(CHANNELS):
        scale = np.abs(want[..., channel]).max()
        np.testing.assert_allclose(found[..., channel], want[..., channel], atol=1e-4 * scale)


def test_statistics_of_a_bfloat16_net_are_summed_in_float32():
    """The mean of 5,000 values near 1, with a deviation of 1/128 that bfloat16 can hold and its sums cannot."""
    values = 1 + RNG.integers(0, 2, (200, 5, 5, CHANNELS)) / 128
    found, statistics = normalize(jnp.asarray(values, jnp.float32), train=True, dtype="bfloat16")
    assert (found.dtype, statistics["mean"].dtype) == (jnp.bfloat16, jnp.float32)
    np.testing.assert_allclose(statistics["mean"], DECAY * MEAN + (1 - DECAY) * values.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(statistics["var"], DECAY * VARIANCE + (1 - DECAY) * values.var((0, 1, 2)), rtol=1e-5)


def test_features_need_the_running_statistics():
    images = jnp.asarray(IMAGES, jnp.float32)
    found = features(PARAMS, images, CONFIG, ["bn2"], batch_stats=STATISTICS)["bn2"]
    np.testing.assert_allclose(found, normalize(images, train=False)[0], rtol=1e-5, atol=1e-6)
    with pytest.raises(UsageError, match=r"batch_stats has no bn2: pass the running statistics, such as load_run"):
        features(PARAMS, images, CONFIG, ["bn2"])


def test_two_batch_normalisations_after_one_convolution_are_refused():
    with pytest.raises(UsageError, match=r"model.convs.0.then is .*: use batch_norm at most once after a convolution"):
        ModelConfig((ConvConfig(4, 1, then=("batch_norm", "relu", "batch_norm")),), (), image_size=5)
