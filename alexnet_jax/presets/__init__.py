"""The named runs, each a config with its source, its command and its published results.

To add a run, add a function to one of the modules here, and its name to ``_ALL``.
"""

from __future__ import annotations

from collections.abc import Callable

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.errors import unknown_name
from alexnet_jax.presets.cifar10 import cifar10_11pct, cifar10_13pct, cifar10_18pct
from alexnet_jax.presets.imagenet import (
    imagenet_caffe,
    imagenet_layer_file_147,
    imagenet_layer_file_148,
    imagenet_layer_file_150,
    imagenet_nvcaffe,
    imagenet_one_weird_trick,
    imagenet_original,
    imagenet_paper,
    imagenet_shili8,
    imagenet_torchvision,
)
from alexnet_jax.presets.large_batch import (
    imagenet_alexnet_bn,
    imagenet_large_batch_8k,
    imagenet_large_batch_16k,
    imagenet_large_batch_32k,
)
from alexnet_jax.presets.own import cifar10, finetune, finetune_linear, imagenet_modern, photos, quickstart


def stored_size(model: ModelConfig) -> int:
    """Side in pixels of the stored images for ``model``: 256 for crops of 224 (paper, section 2) and of 227."""
    return 256 if model.image_size == 227 else round(model.image_size * 256 / 224)


_ALL: tuple[Callable[[], TrainConfig], ...] = (
    quickstart,
    cifar10,
    photos,
    finetune,
    finetune_linear,
    cifar10_13pct,
    cifar10_11pct,
    cifar10_18pct,
    imagenet_paper,
    imagenet_original,
    imagenet_layer_file_147,
    imagenet_layer_file_148,
    imagenet_layer_file_150,
    imagenet_one_weird_trick,
    imagenet_caffe,
    imagenet_nvcaffe,
    imagenet_alexnet_bn,
    imagenet_large_batch_8k,
    imagenet_large_batch_16k,
    imagenet_large_batch_32k,
    imagenet_torchvision,
    imagenet_shili8,
    imagenet_modern,
)
PRESETS = {make.__name__: make for make in _ALL}
"""The functions that make the named runs."""


def preset(name: str) -> TrainConfig:
    """Builds a named run.

    Args:
        name: a key of ``PRESETS``, such as ``quickstart`` or ``imagenet_paper``.

    Returns:
        The run's config.

    Raises:
        UsageError: the preset does not exist.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]()
