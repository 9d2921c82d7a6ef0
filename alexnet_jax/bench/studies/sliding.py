"""Differences between the logits of a fully convolutional net on large images and those of separate crops.

    uv run python -m alexnet_jax.bench.studies.sliding runs/quickstart

This joins four test photos into a larger image, and compares the logits at each place of the map with those of the
crop at this place. It prints the median and the maximum of the difference, relative to the largest logit of the place.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np

from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.net.model import AlexNet
from alexnet_jax.runtime import use_virtual_devices
from alexnet_jax.weights.read import read_weights

PHOTOS = 64


def main(net: Path) -> None:
    """Compares the two ways for the trained net ``net``."""
    use_virtual_devices()
    weights = read_weights(net)
    config = weights.config
    source = open_dataset(config.data, config.model.channels).test
    photos = np.stack([source[index]["image"] for index in range(PHOTOS)]).astype(np.float32)
    mean = np.asarray(weights.statistics.mean)
    photos -= mean.mean(axis=(0, 1)) if mean.ndim == 3 else mean
    if config.augment.divide_by_stddev:
        photos /= np.asarray(weights.statistics.colour_stddev)
    rows = np.concatenate(np.split(photos, 2), axis=2)
    large = np.concatenate(np.split(rows, 2), axis=1)
    params = {"params": weights.params}
    maps = np.asarray(jax.jit(AlexNet(config.model, fully_convolutional=True).apply)(params, large))
    apply = jax.jit(AlexNet(config.model).apply)
    size, step = config.model.image_size, np.prod([conv.stride for conv in config.model.convs])
    step *= config.model.max_pool.stride ** sum(conv.then.count("max_pool") for conv in config.model.convs)
    differences = []
    for row in range(maps.shape[1]):
        for column in range(maps.shape[2]):
            top, left = row * step, column * step
            crop = large[:, top : top + size, left : left + size]
            if crop.shape[1:3] == (size, size):
                logits = np.asarray(apply(params, crop))
                differences.append(np.abs(maps[:, row, column] - logits).max(-1) / np.abs(logits).max(-1))
    found = np.concatenate(differences)
    print(f"{found.size} places: median {np.median(found):.1%}, largest {found.max():.1%}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
