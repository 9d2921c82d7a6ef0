"""Weights that look untrained."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet_jax.weights.untrained import looks_untrained

TINY = {"conv1": (11, 11, 3, 8), "conv2": (5, 5, 4, 16), "conv3": (3, 3, 16, 12), "fc6": (32, 16), "fc8": (16, 10)}
FULL = {"conv1": (11, 11, 3, 96), "conv2": (5, 5, 48, 256), "fc6": (9216, 4096), "fc8": (4096, 1000)}
LOCAL = {"conv1": (5, 5, 3, 64), "conv3": (6, 6, 3, 3, 64, 32), "fc5": (1152, 10)}


def truncated(rng, shape):
    draws = rng.standard_normal(shape, np.float32)
    while (beyond := np.abs(draws) > 2).any():
        draws[beyond] = rng.standard_normal(beyond.sum(), np.float32)
    return 0.005 * draws


DRAWS = {
    "normal": lambda rng, shape: 0.01 * rng.standard_normal(shape, np.float32),
    "he": lambda rng, shape: (2 / np.prod(shape[:-1])) ** 0.5 * rng.standard_normal(shape, np.float32),
    "uniform": lambda rng, shape: np.prod(shape[:-1]) ** -0.5 * (2 * rng.random(shape, np.float32) - 1),
    "truncated": truncated,
    "zero": lambda rng, shape: np.zeros(shape, np.float32),
}


def drawn(shapes, draw, seed):
    rng = np.random.default_rng(seed)
    return {name: {"kernel": DRAWS[draw](rng, shape), "bias": np.zeros(shape[-1])} for name, shape in shapes.items()}


@pytest.mark.parametrize("draw", DRAWS)
def test_tiny_initial_weights_look_untrained(draw):
    assert [seed for seed in range(50) if not looks_untrained(drawn(TINY, draw, seed))] == []
    assert looks_untrained(drawn(LOCAL, draw, 0))


@pytest.mark.slow
@pytest.mark.parametrize("draw", DRAWS)
def test_initial_weights_of_full_size_look_untrained(draw):
    assert looks_untrained(drawn(FULL, draw, 0))


@pytest.mark.parametrize(
    "train",
    [
        lambda kernel: kernel + 0.3 * np.abs(kernel).mean(),
        lambda kernel: kernel * np.linspace(0.5, 2, kernel.shape[-1]),
        lambda kernel: kernel * np.random.default_rng(1).lognormal(size=kernel.shape),
        lambda kernel: kernel * np.nan,
    ],
    ids=["mean", "units of different sizes", "long tails", "not finite"],
)
@pytest.mark.parametrize("layer", ["conv1", "fc6"])
@pytest.mark.parametrize("draw", ["normal", "uniform", "truncated"])
def test_one_layer_that_changed_is_enough(draw, layer, train):
    params = drawn(TINY | {"fc6": (256, 64)}, draw, 0)
    params[layer]["kernel"] = train(params[layer]["kernel"])
    assert not looks_untrained(params)


def test_biases_that_moved_are_enough():
    params = drawn(TINY, "normal", 0)
    params["conv2"]["bias"] += np.random.default_rng(0).normal(0, 1e-4, 16)
    assert not looks_untrained(params)


def test_biases_of_pytorch_are_drawn():
    params = drawn(TINY, "uniform", 0)
    for name, layer in params.items():
        bound = np.prod(TINY[name][:-1]) ** -0.5
        layer["bias"] = np.random.default_rng(0).uniform(-bound, bound, TINY[name][-1])
    assert looks_untrained(params)
    params["conv3"]["bias"] *= 3
    assert not looks_untrained(params)
