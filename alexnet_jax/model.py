"""AlexNet: images in, logits out."""

from __future__ import annotations

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from alexnet_jax import layers
from alexnet_jax.config import ConvConfig, DenseConfig, ModelConfig

SHORT_NAMES = {
    "relu": "relu",
    "tanh": "tanh",
    "local_response_norm": "norm",
    "spatial_response_norm": "rnorm",
    "max_pool": "pool",
}
"""What an operation's output is called, before the number of its layer."""


def intermediate_names(config: ModelConfig) -> list[str]:
    """The names of what ``AlexNet(config)`` can be asked for, in the order in which an image meets them."""
    names = []
    for number, conv in enumerate(config.convs, start=1):
        names += [f"conv{number}", *(f"{SHORT_NAMES[operation]}{number}" for operation in conv.then)]
    for name in config.dense_names[:-1]:
        layer, drop = [name, f"relu{name[2:]}"], [f"drop{name[2:]}"]
        names += layer + drop if config.dropout.place == "after" else drop + layer
    return [*names, config.dense_names[-1]]


def _first_parameters(key: PRNGKeyArray, shape: tuple[int, ...], layer: ConvConfig | DenseConfig) -> dict[str, Array]:
    if layer.kernel_stddev is None:
        kernel_key, bias_key = jax.random.split(key)
        reach = math.prod(shape[:-1]) ** -0.5
        kernel = jax.random.uniform(kernel_key, (math.prod(shape),), jnp.float32, -reach, reach)
        return {
            "kernel": kernel.reshape(shape),
            "bias": jax.random.uniform(bias_key, shape[-1:], jnp.float32, -reach, reach),
        }
    # drawn in one row, since XLA takes several times as long to compile a draw of four axes
    kernel = layer.kernel_stddev * jax.random.normal(key, (math.prod(shape),), jnp.float32).reshape(shape)
    return {"kernel": kernel, "bias": jnp.full(shape[-1:], layer.bias, jnp.float32)}


class AlexNet(nn.Module):
    """The net that ``config`` describes, whole or as one of its towers.

    ``init(key, images)`` makes the parameters: ``conv1`` ... ``fc8``, each with ``kernel`` and ``bias``; kernels are
    (height, width, in, out) and (in, out). ``apply({"params": params}, images, train=False)`` takes
    float images (batch, height, width, channels), the mean already subtracted, and returns
    logits (batch, classes). ``train=True`` draws dropout masks and needs ``rngs={"dropout": key}``.

    With ``mutable="intermediates"``, ``apply`` also returns what each layer gave, by name: ``conv1``, ``relu1``,
    ``norm1``, ``pool1`` ..., ``rnorm2`` where there is one, ``fc6``, ``relu6``, ``drop6`` ...

    Inside a map over an axis called ``tower_axis`` each device holds one slice of every layer's output channels.
    A layer that reads all towers gathers them first (paper, section 3.5: conv3 and the dense layers).

    With ``fully_convolutional`` the same parameters slide over images of any size from ``config.image_size`` on: the
    dense layers read windows of the last pooling, and the logits are a map (batch, rows, columns, classes). On an
    image of one crop's size the map has one place, the ordinary logits. On a larger one it is the dense layers at
    each place of that image's last pooling, and not the net on crop after crop: where convolutions pad, a crop sees
    zeros at its edge and the larger image shows what is there.

    ``dtype`` is what activations and products are made in, ``float32`` or ``bfloat16``. Parameters, their gradients,
    the sums inside normalisation and the logits are float32 in both.
    """

    config: ModelConfig
    tower_axis: str | None = None
    fully_convolutional: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width channels"], train: bool = False
    ) -> Float[Array, "batch *map classes"]:
        """Logits for ``images``, as the class says."""
        config = self.config
        x = images.astype(self.dtype)
        for number, conv in enumerate(config.convs, start=1):
            if conv.groups == 1 and number > 1:
                x = self._gather(x)
            x = self._record(f"conv{number}", self._convolve(f"conv{number}", conv, x))
            for operation in conv.then:
                x = self._record(f"{SHORT_NAMES[operation]}{number}", self._operate(operation, x))

        for name, dense in zip(config.dense_names, config.dense, strict=False):
            if config.dropout.place == "before":
                x = self._record(f"drop{name[2:]}", self._dropout(x, train))
            x = self._record(name, self._dense(name, dense, x))
            x = self._record(f"relu{name[2:]}", nn.relu(x))
            if config.dropout.place == "after":
                x = self._record(f"drop{name[2:]}", self._dropout(x, train))

        name = config.dense_names[-1]
        head = DenseConfig(config.classes, config.head_kernel_stddev, config.head_bias)
        return self._record(name, self._gather(self._dense(name, head, x)).astype(jnp.float32))

    def _layer(self, name: str, read: tuple[int, ...], layer: ConvConfig | DenseConfig) -> tuple[Array, Array]:
        """Kernel, in ``dtype``, and bias of one layer; the kernel has the axes ``read`` before its output features."""
        features = layer.features if self.tower_axis is None else layer.features // self.config.towers

        parameters = self.param(name, lambda key: _first_parameters(key, (*read, features), layer))
        return parameters["kernel"].astype(self.dtype), parameters["bias"]

    def _convolve(self, name: str, conv: ConvConfig, x: Array) -> Array:
        groups = conv.groups if self.tower_axis is None else 1
        kernel, bias = self._layer(name, (conv.kernel_size, conv.kernel_size, x.shape[-1] // groups), conv)
        return self._add(layers.convolve(x, kernel, conv, groups), bias)

    def _dense(self, name: str, dense: DenseConfig, x: Array) -> Array:
        units = self._gather(x)
        if self.fully_convolutional:
            return self._dense_as_convolution(name, dense, units)
        units = units.reshape(x.shape[0], -1)
        kernel, bias = self._layer(name, (units.shape[-1],), dense)
        return self._add(layers.dense(units, kernel), bias)

    def _dense_as_convolution(self, name: str, dense: DenseConfig, x: Array) -> Array:
        """The first dense layer's window is what it reads of an image of ``image_size``; the others' is one pixel."""
        side = list(self.config.image_sizes())[-1][1] if name == self.config.dense_names[0] else 1
        kernel, bias = self._layer(name, (side * side * x.shape[-1],), dense)
        windows = kernel.reshape(side, side, x.shape[-1], -1)
        return self._add(layers.convolve(x, windows, ConvConfig(windows.shape[-1], side), groups=1), bias)

    def _add(self, sums: Array, bias: Array) -> Array:
        """In float32, since the gradient of a bias is a sum over all images and places, too long for bfloat16."""
        return layers.add_bias(sums.astype(jnp.float32), bias).astype(self.dtype)

    def _gather(self, x: Array) -> Array:
        """The channels of every tower, side by side."""
        return x if self.tower_axis is None else lax.all_gather(x, self.tower_axis, axis=x.ndim - 1, tiled=True)

    def _operate(self, operation: str, x: Array) -> Array:
        if operation == "relu":
            return nn.relu(x)
        if operation == "tanh":
            return jnp.tanh(x)
        if operation == "max_pool":
            return layers.max_pool(x, self.config.max_pool)
        if operation == "spatial_response_norm":
            return layers.spatial_response_norm(x, self.config.spatial_response_norm)
        towers = self.config.towers if self.tower_axis is None else 1
        return layers.local_response_norm(x, self.config.local_response_norm, towers, self.tower_axis)

    def _dropout(self, x: Array, train: bool) -> Array:
        dropout = self.config.dropout
        keep = 1.0 - dropout.rate
        if not train:
            return x * keep if dropout.scaled_in == "test" else x
        tower = None if self.tower_axis is None else lax.axis_index(self.tower_axis)
        mask = layers.dropout_mask(self.make_rng("dropout"), keep, x.shape, self.config.towers, tower).astype(x.dtype)
        return x * mask if dropout.scaled_in == "test" else x * mask / keep

    def _record(self, name: str, x: Array) -> Array:
        self.sow("intermediates", name, x, init_fn=lambda: None, reduce_fn=lambda _, new: new)
        return x
