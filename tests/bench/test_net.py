"""Floating-point operations of a net."""

from __future__ import annotations

from alexnet_jax.bench.net import flops
from alexnet_jax.variants import variant


def test_flops_do_not_count_the_gradient_of_the_images():
    assert flops(variant("paper"), "forward", 64) == 2 * 724_406_816 * 64
    conv1 = 55 * 55 * 96 * 11 * 11 * 3
    assert flops(variant("paper"), "train", 64) == 2 * (3 * 724_406_816 - conv1) * 64
