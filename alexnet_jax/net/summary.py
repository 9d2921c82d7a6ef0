"""What a net is made of, counted from its config: no array is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from alexnet_jax.config import ModelConfig
from alexnet_jax.net.model import AlexNet

BYTES_PER_FLOAT = 4


@dataclass(frozen=True)
class LayerRow:
    """One line of the table: what a layer gives for one image, and what it holds and does for it."""

    name: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    """Multiply-accumulate operations of its products."""


@dataclass(frozen=True)
class Summary:
    """All layers of a net, in the order in which an image meets them."""

    input_shape: tuple[int, ...]
    rows: tuple[LayerRow, ...]

    @property
    def parameters(self) -> int:
        """Trainable numbers."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations for one image."""
        return sum(row.macs for row in self.rows)

    @property
    def input_bytes(self) -> int:
        """One image as float32."""
        return BYTES_PER_FLOAT * math.prod(self.input_shape)

    @property
    def activation_bytes(self) -> int:
        """What every line gives for one image, and as much again for its gradient, as float32."""
        return 2 * BYTES_PER_FLOAT * sum(math.prod(row.shape) for row in self.rows)

    @property
    def parameter_bytes(self) -> int:
        """The parameters as float32."""
        return BYTES_PER_FLOAT * self.parameters


def summarize_model(config: ModelConfig) -> Summary:
    """The layers of ``config`` for one image."""
    net = AlexNet(config)
    images = jax.ShapeDtypeStruct((1, config.image_size, config.image_size, config.channels), jnp.float32)
    variables = jax.eval_shape(net.init, jax.random.key(0), images)
    seen = jax.eval_shape(lambda tree, x: net.apply(tree, x, mutable="intermediates")[1], variables, images)
    params, outputs = variables["params"], seen["intermediates"]
    rows = []
    for name in [layer.name for layer in config.layers()]:
        shape, layer = outputs[name].shape[1:], params.get(name, {})
        parameters = sum(int(np.prod(leaf.shape)) for leaf in layer.values())
        # every output feature of every pixel is one product over the rest of the kernel
        macs = math.prod(shape) * math.prod(layer["kernel"].shape[:-1]) if layer else 0
        rows.append(LayerRow(name, shape, parameters, macs))
    return Summary(images.shape[1:], tuple(rows))
