"""Data parallelism for the convolutions, model parallelism for the dense layers.

Source: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks" (arXiv 1404.5997), scheme
(a): the devices exchange the activations of all images before the dense layers.
"""

from __future__ import annotations

import jax
from jaxtyping import Array

from alexnet_jax.errors import UsageError
from alexnet_jax.net.model import BATCH, IMAGES_OF_DENSE, UNITS
from alexnet_jax.training.layouts.data_parallel import DATA_AXIS, DataParallel


class Hybrid(DataParallel):
    """Each device computes the convolutions for its images, and its units of the dense layers for all images.

    The weights of the dense layers stay where they are; activations move. Each device holds some of the inputs of the
    classifier, so any number of classes works.
    """

    name = "hybrid"
    rules = ((BATCH, DATA_AXIS), (IMAGES_OF_DENSE, None), (UNITS, DATA_AXIS))

    def _check_devices(self) -> None:
        model, count = self.config.model, len(self.devices)
        for name, layer in zip(model.dense_names, model.dense, strict=False):
            if layer.features % count:
                divisors = [fewer for fewer in range(1, count) if layer.features % fewer == 0]
                raise UsageError(
                    f"--layout hybrid cannot split the {layer.features} units of {name} over {count} devices: "
                    f"use --devices {divisors[-1]} or --layout data"
                )

    @property
    def part(self) -> str:
        """As in ``Layout``."""
        fraction = f"1/{self.data_parallel}"
        return f"the convolutions, {fraction} of the dense layers and {fraction} of each batch (--layout {self.name})"

    def spec(self, layer: str, leaf: Array) -> jax.P:
        """The units of the dense layers are split, and the inputs of the classifier."""
        *hidden, classifier = self.config.model.dense_names
        if layer in hidden:
            return jax.P(*[None] * (leaf.ndim - 1), DATA_AXIS)
        if layer == classifier and leaf.ndim == 2 and hidden:
            return jax.P(DATA_AXIS, None)
        return jax.P()
