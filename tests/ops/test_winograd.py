from functools import partial

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from alexnet_jax.ops.backends import winograd

# height and width, window, stride, paddings of both: AlexNet's layers with less width, and sizes that leave rows over
SHAPES = {
    "conv1": ((224, 31), 11, 4, ((0, 3), (0, 3))),
    "conv2": ((27, 9), 5, 1, ((2, 2), (2, 2))),
    "conv3": ((13, 6), 3, 1, ((1, 1), (1, 1))),
    "rows over": ((14, 7), 3, 1, ((0, 0), (0, 1))),
    "rows left out": ((21, 8), 5, 2, ((0, 0), (0, 0))),
    "strides of even windows": ((16, 9), 4, 2, ((1, 1), (0, 1))),
}


def plain(images, kernel, stride, paddings):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(images, kernel, (stride, stride), paddings, dimension_numbers=dimensions)


def relative_error(one, other):
    return float(jnp.abs(one - other).max() / jnp.abs(other).max())


@pytest.mark.parametrize("name", SHAPES)
def test_values_and_gradients_are_those_of_a_convolution(name):
    size, window, stride, paddings = SHAPES[name]
    keys = jax.random.split(jax.random.key(0), 3)
    images = jax.random.normal(keys[0], (2, *size, 4))
    kernel = jax.random.normal(keys[1], (window, window, 4, 5))
    rows, columns = ((side + sum(pad) - window) // stride + 1 for side, pad in zip(size, paddings, strict=True))
    gradient = jax.random.normal(keys[2], (2, rows, columns, 5))

    @partial(jax.jit, static_argnums=0)
    def value_and_gradients(convolve):
        value, pull = jax.vjp(lambda *inputs: convolve(*inputs, stride, paddings), images, kernel)
        return value, *pull(gradient)

    found, wanted = value_and_gradients(winograd.convolve), value_and_gradients(plain)
    for one, other in zip(found, wanted, strict=True):
        assert relative_error(one, other) < 1e-5


@pytest.mark.parametrize(("name", "channels"), [("conv1", 3), ("conv2", 48), ("conv3", 256)])
def test_where_it_pays_it_saves_multiplications(name, channels):
    (height, _), window, stride, paddings = SHAPES[name]
    images = jax.ShapeDtypeStruct((1, height, height, channels), jnp.float32)
    kernel = jax.ShapeDtypeStruct((window, window, channels, 128), jnp.float32)

    def cost(convolve):
        lowered = jax.jit(lambda *inputs: convolve(*inputs, stride, paddings)).lower(images, kernel)
        return lowered.cost_analysis()["flops"]

    out_height = (height + sum(paddings[0]) - window) // stride + 1
    assert winograd.pays((out_height, out_height), kernel.shape, stride)
    assert cost(plain) > 1.4 * cost(winograd.convolve)


@pytest.mark.parametrize(("height", "window", "channels"), [(13, 1, 2000), (13, 7, 192), (13, 3, 16), (2, 3, 20_000)])
def test_it_does_not_pay_for_windows_of_one_row_or_many_nor_for_few_channels_or_rows(height, window, channels):
    assert winograd.pays((13, 13), (3, 3, 192, 192), 1)
    assert not winograd.pays((height, 13), (window, window, channels, 192), 1)
