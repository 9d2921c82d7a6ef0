"""The layers of a net with their shapes, parameters and MACs, computed from the config without any array."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, partial

import jax
import jax.numpy as jnp

from alexnet_jax.config import ConvConfig, DenseConfig, Layer, ModelConfig
from alexnet_jax.net.model import AlexNet
from alexnet_jax.ops.backends import PLAIN, use_forms

BYTES_PER_FLOAT = 4


@dataclass(frozen=True)
class LayerRow:
    """One layer, for one image.

    Attributes:
        name: the layer's name.
        shape: the shape of its output, without the batch axis.
        parameters: the number of its parameters.
        macs: multiply-accumulate operations.
        kernel: the side of the square window in pixels; None for layers without windows.
        stride: pixels between neighbouring windows; None for layers without windows.
        groups: the groups of a convolution, or of a dense layer that has more than one; None for other layers.
    """

    name: str
    shape: tuple[int, ...]
    parameters: int
    macs: int
    kernel: int | None = None
    stride: int | None = None
    groups: int | None = None


@dataclass(frozen=True)
class Summary:
    """The layers of a net in the order of the forward pass.

    Attributes:
        input_shape: the shape of one image.
        rows: the layers.
    """

    input_shape: tuple[int, ...]
    rows: tuple[LayerRow, ...]

    @property
    def parameters(self) -> int:
        """The number of parameters of all layers."""
        return sum(row.parameters for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of the forward pass of one image."""
        return sum(row.macs for row in self.rows)

    @property
    def input_bytes(self) -> int:
        """Bytes of one image as float32."""
        return BYTES_PER_FLOAT * math.prod(self.input_shape)

    @property
    def activation_bytes(self) -> int:
        """Bytes of the outputs of all layers and of their gradients, for one image, as float32."""
        return 2 * BYTES_PER_FLOAT * sum(math.prod(row.shape) for row in self.rows)

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the parameters as float32."""
        return BYTES_PER_FLOAT * self.parameters


@cache
def summarize_model(config: ModelConfig, last_layer: str | None = None) -> Summary:
    """Computes the layer table of the net that ``config`` describes, up to ``last_layer`` if it is given."""
    net = AlexNet(config, last_layer=last_layer)
    images = jax.ShapeDtypeStruct((1, config.image_size, config.image_size, config.channels), jnp.float32)
    with use_forms(PLAIN):  # the forms have equal shapes
        variables = jax.eval_shape(partial(net.init, mutable=True), jax.random.key(0), images)
    params, outputs = variables["params"], variables["intermediates"]
    rows = []
    for layer in config.layers():
        shape = outputs[layer.name].shape[1:]
        parameters = macs = 0
        if layer.name in params:
            kernel, bias = params[layer.name]["kernel"], params[layer.name]["bias"]
            parameters = math.prod(kernel.shape) + math.prod(bias.shape)
            macs = math.prod(kernel.shape) * (math.prod(shape[:-1]) if _is_shared(layer) else 1)
        rows.append(LayerRow(layer.name, shape, parameters, macs, **_windows(layer, config)))
        if layer.name == last_layer:
            break
    return Summary(images.shape[1:], tuple(rows))


def _is_shared(layer: Layer) -> bool:
    """Whether all positions of the output share the kernel."""
    return not isinstance(layer.config, ConvConfig) or layer.config.shared_kernel


def _windows(layer: Layer, config: ModelConfig) -> dict[str, int]:
    if isinstance(layer.config, ConvConfig):
        return {"kernel": layer.config.kernel_size, "stride": layer.config.stride, "groups": layer.config.groups}
    if isinstance(layer.config, DenseConfig) and layer.config.groups > 1:
        return {"groups": layer.config.groups}
    pool = config.pool(layer)
    return {} if pool is None else {"kernel": pool.size, "stride": pool.stride}
