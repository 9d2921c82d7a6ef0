"""The trained weights that come with the package. ``README.md`` has their sources and checksums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load_file

HERE = Path(__file__).parent
TORCHVISION_FEATURES = HERE / "torchvision_features.safetensors"
"""The five trained convolutions of torchvision's AlexNet, in this project's format."""
LPIPS_HEADS = HERE / "lpips_v0.1.safetensors"
"""The weights of the channels of relu1 to relu5 in LPIPS, version 0.1."""


def lpips_heads() -> dict[str, Float[np.ndarray, " channels"]]:
    """The weight of each channel of ``relu1`` to ``relu5`` in LPIPS (Zhang et al., 2018), version 0.1, for AlexNet."""
    return load_file(LPIPS_HEADS)
