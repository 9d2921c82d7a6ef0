import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from alexnet_jax.config import ConvConfig, LocalResponseNorm, MaxPool, SpatialResponseNorm
from alexnet_jax.ops import layers
from tests.helpers import formulas


def normal(*shape, scale=1.0, seed=0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


CONVS = [
    (ConvConfig(6, 11, stride=4, rounding="up"), 3, 20),  # hangs over the edge, as the paper's conv1
    (ConvConfig(6, 11, stride=4), 3, 24),  # leaves a rest unread
    (ConvConfig(6, 11, stride=4, padding=2), 3, 20),
    (ConvConfig(8, 5, padding=2, groups=2), 6, 7),
    (ConvConfig(8, 3, padding=1), 6, 7),
    (ConvConfig(4, 3, stride=2, rounding="up"), 1, 8),
    (ConvConfig(4, 3, padding=1, groups=2), 4, 7),  # few channels in each group
]


@pytest.mark.parametrize("form", [layers.convolve, layers._convolve_at_once])
@pytest.mark.parametrize(("config", "channels", "size"), CONVS)
def test_convolution_is_the_sum_over_each_window(config, channels, size, form):
    images = normal(2, size, size, channels)
    kernel = normal(config.kernel_size, config.kernel_size, channels // config.groups, config.features, seed=1)
    found = form(jnp.asarray(images), jnp.asarray(kernel), config, config.groups)
    want = formulas.convolution(images, kernel, config.stride, config.padding, config.rounding, config.groups)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "size"),
    [
        (ConvConfig(6, 11, stride=4, rounding="up"), 20),
        (ConvConfig(6, 11, stride=4), 24),
        (ConvConfig(6, 11, stride=4, padding=2), 20),
        (ConvConfig(6, 5, stride=4, padding=4), 12),
        (ConvConfig(6, 3, stride=4, padding=1), 16),
    ],
)
def test_convolution_in_blocks_has_the_values_and_gradients_of_that_at_once(config, size):
    images, kernel = jnp.asarray(normal(2, size, size, 3)), jnp.asarray(normal(*[config.kernel_size] * 2, 3, 6, seed=1))

    def everything(form):
        value, pull = jax.vjp(form, images, kernel)
        return value, *pull(jnp.cos(value))

    at_once = everything(lambda images, kernel: layers._convolve_at_once(images, kernel, config, 1))
    in_blocks = everything(lambda images, kernel: layers._convolve_in_blocks(images, kernel, config))
    for found, want in zip(in_blocks, at_once, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("towers", [1, 2])
@pytest.mark.parametrize(
    "config",
    [LocalResponseNorm(), LocalResponseNorm(divide_alpha=True), LocalResponseNorm(size=3, k=1.0, alpha=0.3, beta=0.5)],
)
def test_local_response_norm_is_the_papers_formula(config, towers):
    images = normal(2, 3, 3, 12, scale=60.0)
    alpha = config.alpha / config.size if config.divide_alpha else config.alpha
    found = layers.local_response_norm(jnp.asarray(images), config, towers)
    want = formulas.local_response_norm(images, config.size, config.k, alpha, config.beta, towers)
    np.testing.assert_allclose(found, want, rtol=2e-5)


def test_local_response_norm_of_two_towers_is_that_of_each_alone():
    images = jnp.asarray(normal(2, 3, 3, 12, scale=60.0))
    config = LocalResponseNorm()
    halves = [layers.local_response_norm(half, config) for half in jnp.split(images, 2, -1)]
    together = layers.local_response_norm(images, config, towers=2)
    np.testing.assert_allclose(together, jnp.concatenate(halves, -1), rtol=1e-6)
    assert not np.allclose(together, layers.local_response_norm(images, config, towers=1), rtol=1e-3)


NORMS = [
    (LocalResponseNorm(), 12, 2),
    (LocalResponseNorm(size=3, k=1.0, alpha=0.3, beta=0.5, divide_alpha=True), 12, 1),
    (LocalResponseNorm(), 256, 2),  # towers that fill the matrix unit
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("config", "channels", "towers"), NORMS)
def test_norm_by_product_has_the_values_and_derivatives_of_that_by_window(config, channels, towers, dtype):
    images = jnp.asarray(normal(2, 3, 3, channels, scale=60.0), dtype)
    weights = jnp.asarray(normal(2, 3, 3, channels, seed=1), dtype)

    def everything(form, images, weights):
        value, tangent = jax.jvp(lambda images: form(images, config, towers), (images,), (weights,))
        (gradient,) = jax.vjp(lambda images: form(images, config, towers), images)[1](weights)
        return value, tangent, gradient

    wide = everything(layers._norm_by_window, images.astype(jnp.float32), weights.astype(jnp.float32))
    for found, want in zip(everything(layers._norm_by_product, images, weights), wide, strict=True):
        assert found.dtype == dtype
        apart = jnp.abs(found.astype(jnp.float32) - want).max() / jnp.abs(want).max()
        assert apart < (1e-5 if dtype == "float32" else 0.01)


def test_spatial_response_norm_is_the_formula():
    images = normal(2, 7, 7, 3, scale=30.0)
    config = SpatialResponseNorm()
    found = layers.spatial_response_norm(jnp.asarray(images), config)
    want = formulas.spatial_response_norm(images, config.size, config.k, config.alpha, config.beta)
    np.testing.assert_allclose(found, want, rtol=2e-5)


@pytest.mark.parametrize("form", [layers.max_pool, layers._max_pool, layers._max_pool_at_once])
@pytest.mark.parametrize("size", [13, 14])
@pytest.mark.parametrize("config", [MaxPool(), MaxPool(rounding="up"), MaxPool(size=2)])
def test_max_pool_takes_the_maximum_of_each_window(config, size, form):
    images = normal(2, size, size, 3) - 5.0  # negative, so that a zero at the edge would show
    found = form(jnp.asarray(images), config)
    np.testing.assert_array_equal(found, formulas.max_pool(images, config.size, config.stride, config.rounding))


@pytest.mark.parametrize("channels", [1, 3])
def test_max_pool_has_the_gradient_of_reduce_window(channels):
    images, weights = jnp.asarray(normal(2, 13, 13, channels)), jnp.asarray(normal(2, 6, 6, channels, seed=1))

    def plain(images):
        return lax.reduce_window(images, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")

    found = jax.grad(lambda images: jnp.sum(layers.max_pool(images, MaxPool()) * weights))(images)
    np.testing.assert_allclose(found, jax.grad(lambda images: jnp.sum(plain(images) * weights))(images), rtol=1e-5)


def test_dropout_masks_of_one_device_are_those_of_its_towers_side_by_side():
    key = jax.random.key(0)
    whole = layers.dropout_mask(key, 0.5, (4, 64), towers=2, tower=None)
    halves = [layers.dropout_mask(key, 0.5, (4, 32), towers=2, tower=jnp.array(index)) for index in (0, 1)]
    np.testing.assert_array_equal(whole, jnp.concatenate(halves, -1))
    assert not np.array_equal(*halves)
    assert 0.4 < float(layers.dropout_mask(key, 0.5, (64, 64), 2, None).mean()) < 0.6
