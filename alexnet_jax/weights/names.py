"""The names of trained weights."""

from __future__ import annotations

from pathlib import Path

from alexnet_jax.errors import unknown_name
from alexnet_jax.weights.shipped import TORCHVISION_FEATURES

PREFIX = "pretrained:"
SHIPPED = {"torchvision_features": TORCHVISION_FEATURES}
"""The weights that come with the package."""


def is_name_of_weights(net: str) -> bool:
    """Whether ``net`` is a name of trained weights, with or without ``pretrained:``."""
    return net.startswith(PREFIX) or net in SHIPPED


def find_weights(net: Path) -> Path:
    """The file of ``net`` if it names trained weights, or ``net`` itself.

    Args:
        net: a name, ``pretrained:NAME``, or a path. A file or directory of that name comes before a name without
            ``pretrained:``.

    Raises:
        UsageError: ``pretrained:NAME`` with an unknown name.
    """
    text = str(net)
    if text.startswith(PREFIX):
        name = text.removeprefix(PREFIX)
        if name not in SHIPPED:
            raise unknown_name("trained weights", name, SHIPPED)
        return SHIPPED[name]
    return net if net.exists() else SHIPPED.get(text, net)
