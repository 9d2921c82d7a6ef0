"""The named nets, each a config with its source.

To add a net, add a function to one of the modules here, and its name to ``_ALL``.
"""

from __future__ import annotations

from collections.abc import Callable

from alexnet_jax.config import ModelConfig
from alexnet_jax.errors import unknown_name
from alexnet_jax.variants.authors import (
    layer_file_146,
    layer_file_147,
    layer_file_148,
    layer_file_150,
    layer_file_167,
    one_gpu,
    one_weird_trick,
    original,
    paper,
)
from alexnet_jax.variants.cifar10 import (
    cifar10_11pct,
    cifar10_11pct_r540,
    cifar10_13pct,
    cifar10_18pct,
    cifar10_conv_norm,
    cifar10_conv_relu,
    cifar10_conv_tanh,
)
from alexnet_jax.variants.programs import (
    alexnet_bn,
    caffe_alexnet,
    caffenet,
    d2l,
    shili8,
    single_tower,
    single_tower_227,
    slim_v2,
    torchvision,
)
from alexnet_jax.variants.small import small

_ALL: tuple[Callable[[], ModelConfig], ...] = (
    paper,
    original,
    one_gpu,
    layer_file_146,
    layer_file_147,
    layer_file_148,
    layer_file_150,
    layer_file_167,
    one_weird_trick,
    caffe_alexnet,
    caffenet,
    alexnet_bn,
    torchvision,
    single_tower,
    single_tower_227,
    shili8,
    d2l,
    slim_v2,
    cifar10_13pct,
    cifar10_11pct,
    cifar10_11pct_r540,
    cifar10_18pct,
    cifar10_conv_relu,
    cifar10_conv_norm,
    cifar10_conv_tanh,
    small,
)
VARIANTS = {make.__name__: make for make in _ALL}
"""The functions that make the named nets."""


def variant(name: str) -> ModelConfig:
    """Builds a named net.

    Args:
        name: a key of ``VARIANTS``, which ``alexnet variants`` lists.

    Returns:
        The net's config.

    Raises:
        UsageError: the variant does not exist.
    """
    if name not in VARIANTS:
        raise unknown_name("variant", name, VARIANTS)
    return VARIANTS[name]()
