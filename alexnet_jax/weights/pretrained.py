"""Trained weights by name, in one call."""

from __future__ import annotations

from pathlib import Path

from jaxtyping import PyTree

from alexnet_jax.config import ModelConfig
from alexnet_jax.weights.names import PREFIX
from alexnet_jax.weights.read import read_weights


def pretrained(name: str, progress: bool = True) -> tuple[ModelConfig, PyTree]:
    """The net and the parameters of trained weights. The first call downloads them and keeps the file in a cache.

    ``load_weights(name)`` also returns their preprocessing and the names of their classes.

    Args:
        name: ``torchvision``, ``bvlc_alexnet`` or ``bvlc_reference_caffenet``; ``torchvision_features``, the five
            convolutions of torchvision's AlexNet, which come with the package; or ``hf://OWNER/REPO`` or
            ``hf://OWNER/REPO/FILE``, a file of the Hugging Face Hub.
        progress: whether to report the download on standard error, in a terminal with a progress bar.

    Returns:
        The net's config, and its parameters: ``conv1``, ``conv2`` and so on, each with ``kernel`` and ``bias``,
        float32. Those of ``torchvision_features`` end at ``conv5``, so ``features`` gives the layers up to ``pool5``.

    Raises:
        UsageError: there are no weights of that name.
        AlexNetError: the file cannot be downloaded, has another checksum, or cannot be read.
    """
    weights = read_weights(Path(PREFIX + name.removeprefix(PREFIX)), progress=progress)
    return weights.config.model, weights.params
