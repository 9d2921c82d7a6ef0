"""Where Winograd convolution is used. ``test_backends`` checks its values and derivatives."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from alexnet_jax.ops.backends import winograd


@pytest.mark.parametrize(
    ("height", "channels", "window", "stride", "padding"),
    [(224, 3, 11, 4, (0, 3)), (27, 48, 5, 1, (2, 2)), (13, 256, 3, 1, (1, 1))],
    ids=["conv1", "conv2", "conv3"],
)
def test_the_layers_of_alexnet_take_fewer_multiplies(height, channels, window, stride, padding):
    images = jax.ShapeDtypeStruct((1, height, height, channels), jnp.float32)
    kernel = jax.ShapeDtypeStruct((window, window, channels, 128), jnp.float32)

    def plain(images, kernel):
        dimensions = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(images, kernel, [stride] * 2, [padding] * 2, dimension_numbers=dimensions)

    def by_winograd(images, kernel):
        return winograd.convolve(images, kernel, stride, [padding] * 2)

    def flops(convolve):
        return jax.jit(convolve).lower(images, kernel).cost_analysis()["flops"]

    out_height = (height + sum(padding) - window) // stride + 1
    assert winograd.is_faster((out_height, out_height), kernel.shape, stride)
    assert flops(plain) > 1.4 * flops(by_winograd)


@pytest.mark.parametrize(
    ("height", "window", "channels"),
    [(13, 1, 2000), (13, 7, 192), (13, 3, 16), (2, 3, 20_000)],
    ids=["one row", "many rows", "few channels", "few output rows"],
)
def test_other_convolutions_stay_plain(height, window, channels):
    assert winograd.is_faster((13, 13), (3, 3, 192, 192), 1)
    assert not winograd.is_faster((height, 13), (window, window, channels, 192), 1)
