"""The versions of the weights of the channels, LPIPS' "heads"."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float

from alexnet_jax.errors import unknown_name
from alexnet_jax.weights.shipped import lpips_heads

HEADS = {"v0.1": lpips_heads}
"""The functions that read each version."""


@cache
def load_heads(version: str) -> dict[str, Float[np.ndarray, " channels"]]:
    """The weight of each channel of ``relu1`` to ``relu5``. Do not change the arrays.

    Args:
        version: a key of ``HEADS``.

    Raises:
        UsageError: there is no such version.
    """
    if version not in HEADS:
        raise unknown_name("version of the heads", version, HEADS)
    return HEADS[version]()
