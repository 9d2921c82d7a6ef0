"""Features that were read before, in place of images to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from alexnet_jax.data.image_array import HDF5_SUFFIXES
from alexnet_jax.errors import UsageError
from alexnet_jax.readout.compute import BATCH_SIZE, layer_shapes
from alexnet_jax.readout.draft import describe_difference
from alexnet_jax.readout.feature_file import (
    FEATURE_SUFFIXES,
    FeatureFile,
    local_features,
    matlab_name,
    open_features,
    read_facts,
)
from alexnet_jax.readout.run import net_facts
from alexnet_jax.weights.weights import Weights


def find_stored(data: str) -> FeatureFile | None:
    """The file of features that ``data`` names, or None if it names something else.

    Raises:
        AlexNetError: the file cannot be read.
        UsageError: `alexnet features` did not write it.
    """
    path = Path(data)
    if path.suffix not in FEATURE_SUFFIXES:
        return None
    path = local_features(path)
    if not path.is_file():
        return None
    if path.suffix in HDF5_SUFFIXES and not read_facts(path):
        return None  # perhaps images
    file = open_features(path)
    if not file.facts:
        raise UsageError(f"{path}: was not written by `alexnet features`, so its net is not known; read it again")
    return file


def stored_layer(file: FeatureFile, weights: Weights, layer: str) -> Any:
    """The array of a layer: (images, ...), an array or a dataset of an HDF5 file.

    Args:
        file: a file that this project wrote.
        weights: the net.
        layer: this project's name of the layer.

    Raises:
        UsageError: the file has the features of another net, does not have the layer, or has it reduced.
    """
    facts = net_facts(weights)
    found = {name: file.facts.get(name) for name in facts}
    if found != facts:
        different = describe_difference(found, facts)
        raise UsageError(f"{file.path}: was read with another net (other {different}); read it with this one")
    names = {own: name for name, own in file.facts["layers"].items()}
    if layer not in names:
        raise UsageError(f"{file.path}: has no features of {layer}; use --layer with one of {', '.join(names)}")
    name = names[layer]
    array = file.layers[name if name in file.layers else matlab_name(name)]
    if array.shape[1:] != layer_shapes(weights, (layer,))[layer]:
        raise UsageError(
            f"{file.path}: its features of {layer} are reduced; read them without --spatial_mean, --pca and "
            "--random_projection"
        )
    return array


def stored_batches(array: Any) -> Iterator[Float[np.ndarray, "batch ..."]]:
    """The features of all images, in batches that are read one after another."""
    return (array[start : start + BATCH_SIZE] for start in range(0, len(array), BATCH_SIZE))
