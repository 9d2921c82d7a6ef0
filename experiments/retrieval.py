"""Figure 4: nearest training images by the last hidden features show the same kind of object; by pixels they do not.

uv run python -m experiments.retrieval
"""

from __future__ import annotations

import numpy as np

from alexnet_jax.readout.compute import features_of
from alexnet_jax.readout.layers import last_hidden_layer
from alexnet_jax.readout.nearest import nearest
from experiments.kit.experiment import Arms, Experiment, Figures, Trained
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule

_QUERIES, _STORED, _NEIGHBOURS = 500, 5000, 6


def arms(scale: Scale) -> Arms:
    """The net."""
    return {"net": baseline(scale)}


def measure(trained: Trained) -> Figures:
    """The fraction of the nearest training images that have the class of the test image."""
    by_features, by_pixels = [], []
    for net in trained["net"]:
        weights = net.load()
        layer = last_hidden_layer(weights.params, weights.config.model)
        (queries, labels), (stored, classes) = net.images("test", _QUERIES), net.images("train", _STORED)
        of_queries, of_stored = (features_of(weights, images, (layer,))[layer] for images in (queries, stored))
        by_features.append(_precision(of_queries, of_stored, labels, classes))
        by_pixels.append(_precision(queries, stored, labels, classes))
    return {"last hidden features": by_features, "pixels": by_pixels}


def _precision(queries: np.ndarray, stored: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> float:
    rows = nearest(queries, [stored], _NEIGHBOURS).rows
    return float((classes[rows] == labels[:, None]).mean())


EXPERIMENT = Experiment(
    name="retrieval",
    claim="The nearest training images by the last hidden features show the same kind of object; by pixels they do not",
    source="paper, section 6.1 and Figure 4",
    printed="a picture",
    authors_log="none",
    arms=arms,
    rule=Rule(more="last hidden features", less="pixels", counts=0.1),
    scale_note=f"{CPU_NOTE} The {_NEIGHBOURS} nearest of {_STORED:,} training photos for each of {_QUERIES} test "
    "photos.",
    figure="fraction of the nearest images with the class of the test image",
    measure=measure,
)

if __name__ == "__main__":
    main(EXPERIMENT)
