"""Which towers a layer reads (paper, section 3.5), by derivatives."""

import jax
import jax.numpy as jnp
import pytest

from alexnet_jax.net.model import AlexNet
from tests.helpers.nets import tiny_model


@pytest.fixture(scope="module", params=["paper", "original"])
def gradients(request):
    """Derivatives of the first tower's outputs of conv2 and of conv3 by the parameters of the layer before."""
    net = AlexNet(tiny_model(request.param))
    keys = jax.random.split(jax.random.key(0), 3)
    images = 50 * jax.random.normal(keys[0], (2, 67, 67, 3))
    params = jax.jit(net.init)(keys[1], images)["params"]

    def first_tower(params, name):
        outputs = net.apply({"params": params}, images, mutable="intermediates")[1]["intermediates"][name]
        half = jnp.split(outputs, 2, -1)[0]
        return jnp.vdot(half, jax.random.normal(keys[2], half.shape))

    @jax.jit
    def derivatives(params):
        return {
            name: jax.grad(first_tower)(params, name)[before]
            for name, before in (("conv2", "conv1"), ("conv3", "conv2"))
        }

    return derivatives(params)


def by_tower(gradient):
    """The largest derivative by a parameter of each tower."""
    return [float(jnp.abs(part).max()) for part in jnp.split(gradient, 2, -1)]


@pytest.mark.parametrize("kind", ["kernel", "bias"])
def test_conv2_reads_its_own_tower_only(gradients, kind):
    own, other = by_tower(gradients["conv2"][kind])
    assert own > 0
    assert other == 0


@pytest.mark.parametrize("kind", ["kernel", "bias"])
def test_conv3_reads_both_towers(gradients, kind):
    assert min(by_tower(gradients["conv3"][kind])) > 0
