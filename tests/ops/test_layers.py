from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import AveragePool, ConvConfig, LocalResponseNorm, MaxPool, SpatialResponseNorm
from alexnet_jax.ops import layers
from tests.helpers import formulas
from tests.helpers.slow import slow


def normal(*shape, scale=1.0, seed=0):
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


@pytest.mark.parametrize(
    ("config", "channels", "size"),
    [
        (ConvConfig(6, 11, stride=4, rounding="up"), 3, 20),  # extends past the edge, as conv1 of the paper
        (ConvConfig(6, 11, stride=4), 3, 24),  # leaves pixels unread
        (ConvConfig(6, 11, stride=4, padding=2), 3, 20),
        (ConvConfig(8, 5, padding=2, groups=2), 6, 7),
        (ConvConfig(8, 3, padding=1), 6, 7),
        (ConvConfig(4, 3, stride=2, rounding="up"), 1, 8),
    ],
)
def test_convolution_is_the_sum_over_each_window(config, channels, size):
    images = normal(2, size, size, channels)
    kernel = normal(config.kernel_size, config.kernel_size, channels // config.groups, config.features, seed=1)
    found = layers.convolve(jnp.asarray(images), jnp.asarray(kernel), config=config, groups=config.groups)
    want = formulas.convolution(images, kernel, config.stride, config.padding, config.rounding, config.groups)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


LOCAL = [
    (ConvConfig(32, 3, padding=1, shared_kernel=False), 8, 6),  # as cuda-convnet's local3
    (ConvConfig(6, 3, padding=1, groups=2, shared_kernel=False), 4, 5),
    (ConvConfig(4, 4, stride=3, rounding="up", shared_kernel=False), 3, 11),  # extends past the edge
    (ConvConfig(4, 4, stride=3, padding=2, shared_kernel=False), 3, 12),  # leaves pixels unread
]


def local_arrays(config, channels, size):
    images = normal(2, size, size, channels)
    rows, columns = layers.output_size(jnp.asarray(images), config)
    shape = (rows, columns, config.kernel_size, config.kernel_size, channels // config.groups, config.features)
    return images, normal(*shape, seed=1)


@pytest.mark.parametrize(("config", "channels", "size"), LOCAL)
def test_local_layer_is_the_sum_over_each_window_with_its_own_kernel(config, channels, size):
    images, kernel = local_arrays(config, channels, size)
    found = layers.convolve_locally(jnp.asarray(images), jnp.asarray(kernel), config=config, groups=config.groups)
    want = formulas.local_convolution(images, kernel, config.stride, config.padding, config.rounding, config.groups)
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("config", "channels", "size"), [*(slow(*case) for case in LOCAL[:-1]), LOCAL[-1]])
def test_derivatives_of_a_local_layer_are_those_of_its_formula(config, channels, size):
    """The layer is linear in the images and in the kernel, so the derivatives are the formula itself."""
    arrays = tuple(map(jnp.asarray, local_arrays(config, channels, size)))
    directions = tuple(jnp.asarray(normal(*array.shape, seed=seed)) for seed, array in enumerate(arrays, start=2))

    def layer(images, kernel):
        return layers.convolve_locally(images, kernel, config=config, groups=config.groups)

    def formula(images, kernel):
        return formulas.local_convolution(
            np.asarray(images), np.asarray(kernel), config.stride, config.padding, config.rounding, config.groups
        )

    outputs, slopes = jax.jvp(layer, arrays, directions)
    want = formula(directions[0], arrays[1]) + formula(arrays[0], directions[1])
    np.testing.assert_allclose(slopes, want, rtol=1e-4, atol=1e-4)
    weights = normal(*outputs.shape, seed=4)
    gradients = jax.grad(lambda *arrays: jnp.vdot(layer(*arrays), weights), (0, 1))(*arrays)
    along = sum(np.vdot(gradient, direction) for gradient, direction in zip(gradients, directions, strict=True))
    assert along == pytest.approx(np.vdot(want, weights), rel=1e-4)


def test_equal_kernels_at_all_positions_make_a_convolution():
    config = ConvConfig(6, 3, padding=1)
    images, kernel = jnp.asarray(normal(2, 5, 5, 4)), jnp.asarray(normal(3, 3, 4, 6, seed=1))
    found = layers.convolve_locally(images, jnp.broadcast_to(kernel, (5, 5, *kernel.shape)), config=config, groups=1)
    np.testing.assert_allclose(found, layers.convolve(images, kernel, config=config, groups=1), rtol=1e-4, atol=1e-5)


def test_dense_layer_is_a_matrix_product():
    units, kernel = normal(3, 5), normal(5, 4, seed=1)
    np.testing.assert_allclose(layers.dense(jnp.asarray(units), jnp.asarray(kernel)), units @ kernel, rtol=1e-5)


def test_biases_of_each_position_are_added():
    sums, bias = normal(2, 5, 6, 4), normal(5, 6, 4, seed=1)
    np.testing.assert_allclose(layers.add_bias(jnp.asarray(sums), jnp.asarray(bias)), sums + bias, rtol=1e-6)


@pytest.mark.parametrize("shape", [(3, 4), (2, 5, 5, 4)])
def test_bias_is_added_to_each_feature(shape):
    sums, bias = normal(*shape), normal(4, seed=1)
    np.testing.assert_allclose(layers.add_bias(jnp.asarray(sums), jnp.asarray(bias)), sums + bias, rtol=1e-6)


@pytest.mark.parametrize("towers", [1, 2])
@pytest.mark.parametrize(
    "config",
    [LocalResponseNorm(), LocalResponseNorm(divide_alpha=True), LocalResponseNorm(size=3, k=1.0, alpha=0.3, beta=0.5)],
)
def test_local_response_norm_is_the_formula_of_the_paper(config, towers):
    images = normal(2, 3, 3, 12, scale=60.0)
    alpha = config.alpha / config.size if config.divide_alpha else config.alpha
    found = layers.local_response_norm(jnp.asarray(images), config=config, towers=towers)
    want = formulas.local_response_norm(images, config.size, config.k, alpha, config.beta, towers)
    np.testing.assert_allclose(found, want, rtol=2e-5)


@pytest.mark.parametrize(("channels", "size"), [(12, 5), (2, 5), (4, 9), (12, 1)])
def test_local_response_norm_across_devices_matches_one_device(channels, size):
    """Also where a tower has fewer channels than half of the window."""
    images = jnp.asarray(normal(2, 3, 3, channels, scale=60.0))
    config = LocalResponseNorm(size=size, across_towers=True)
    norm = jax.pmap(
        lambda half: layers.local_response_norm_across_devices(half, config=config, tower_axis="tower"),
        axis_name="tower",
    )
    found = jnp.concatenate(norm(jnp.stack(jnp.split(images, 2, -1))), -1)
    np.testing.assert_allclose(found, layers.local_response_norm(images, config=config, towers=1), rtol=1e-6)


def test_spatial_response_norm_is_the_formula():
    images = normal(2, 7, 7, 3, scale=30.0)
    config = SpatialResponseNorm()
    found = layers.spatial_response_norm(jnp.asarray(images), config=config)
    want = formulas.spatial_response_norm(images, config.size, config.k, config.alpha, config.beta)
    np.testing.assert_allclose(found, want, rtol=2e-5)


@pytest.mark.parametrize("size", [13, 14])
@pytest.mark.parametrize("config", [MaxPool(), MaxPool(rounding="up"), MaxPool(size=2)])
def test_max_pool_takes_the_maximum_of_each_window(config, size):
    images = normal(2, size, size, 3) - 5.0  # negative, so that a zero at the edge would show
    found = layers.max_pool(jnp.asarray(images), config=config)
    np.testing.assert_array_equal(found, formulas.max_pool(images, config.size, config.stride, config.rounding))


@pytest.mark.parametrize("size", [12, 13])
@pytest.mark.parametrize("config", [AveragePool(), AveragePool(rounding="down"), AveragePool(size=2)])
def test_average_pool_is_the_mean_of_the_pixels_inside_the_image(config, size):
    images, direction = normal(2, size, size, 3), normal(2, size, size, 3, seed=1)
    pool = partial(layers.average_pool, config=config)
    found, slope = jax.jvp(pool, (jnp.asarray(images),), (jnp.asarray(direction),))
    for got, of in ((found, images), (slope, direction)):
        want = formulas.average_pool(of, config.size, config.stride, config.rounding)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_dropout_masks_of_the_towers_together_are_those_of_one_device():
    key = jax.random.key(0)
    one_device = layers.dropout_mask(key, 0.5, (4, 64), towers=2, tower=None)
    masks = [layers.dropout_mask(key, 0.5, (4, 32), towers=2, tower=jnp.array(index)) for index in (0, 1)]
    np.testing.assert_array_equal(one_device, jnp.concatenate(masks, -1))
    assert not np.array_equal(*masks)


def test_dropout_keeps_the_given_fraction():
    mask = layers.dropout_mask(jax.random.key(0), 0.7, (64, 64), towers=2, tower=None)
    assert set(np.unique(mask)) == {0.0, 1.0}
    assert float(mask.mean()) == pytest.approx(0.7, abs=0.03)
