"""AlexNet: images in, logits out."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import dropwhile

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.spmd import with_logical_constraint
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from alexnet_jax.config import ConvConfig, DenseConfig, Layer, ModelConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.ops import backends, layers

BATCH, IMAGES_OF_DENSE, UNITS = "batch", "images_of_dense", "units"
"""Logical axis names for dense layers: the images before any exchange, the images that a layer reads, and its units.
``flax.linen.logical_axis_rules`` maps them to axes of a mesh. Without rules they have no effect."""


class AlexNet(nn.Module):
    """The net that ``config`` describes, or one of its towers.

    ``init(key, images)`` draws the parameters: ``conv1`` to ``fc8``, each with ``kernel`` and ``bias``. Kernels are
    (height, width, in, out) and (in, out). A locally connected layer has a kernel and biases for each position of its
    output: (rows, columns, height, width, in, out) and (rows, columns, out).

    ``apply({"params": params}, images, train=False)`` returns logits. ``train=True`` applies dropout and needs
    ``rngs={"dropout": key}``.

    A net with batch normalisation also has the collection ``batch_stats``: ``bn2`` and so on, each with the running
    ``mean`` and ``var`` of its channels, which start at 0 and 1. ``apply({"params": params, "batch_stats": stats},
    images)`` normalises by them. ``train=True`` normalises by the statistics of ``images``, needs
    ``mutable=["batch_stats"]``, and also returns the new running statistics.

    With ``mutable="intermediates"``, ``apply`` also returns the output of every layer by name: ``conv1``, ``relu1``,
    ``norm1``, ``pool1``, ..., ``fc6``, ``relu6``, ``drop6``, ..., ``fc8``. ``config.layers()`` lists them.

    Attributes:
        config: the net.
        tower_axis: the name of a mapped axis on which each device holds one tower: a slice of every layer's output
            channels. A layer that reads all towers gathers them first (paper, section 3.5: conv3 and the dense layers).
            None runs the whole net on one device.
        fully_convolutional: whether the net slides over images larger than ``config.image_size``. The dense layers then
            read windows of the last pooling, and the logits are a map (batch, rows, columns, classes). An image of
            exactly ``config.image_size`` has one place, with the ordinary logits. The logits of a larger image are
            not those of separate crops: a convolution pads a crop with zeros where the larger image has pixels.
        dtype: the dtype of activations and products, ``float32`` or ``bfloat16``. Parameters, their gradients, the sums
            of normalisation, and the logits are always float32.
        last_layer: the layer whose output is returned; later layers need no parameters. None means the logits.
        first_layer: the layer that reads the argument, which is then the output of the layer before it, with the
            channels of all towers. Earlier layers need no parameters. None means that the argument is images.
        dropout_rate: replaces ``config.dropout.rate``. It may be traced.
    """

    config: ModelConfig
    tower_axis: str | None = None
    fully_convolutional: bool = False
    dtype: DTypeLike = jnp.float32
    last_layer: str | None = None
    first_layer: str | None = None
    dropout_rate: Float[Array, ""] | float | None = None

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch *size channels"], train: bool = False
    ) -> Float[Array, "batch *map classes"]:
        """The logits of ``images``.

        Args:
            images: preprocessed float images (``preprocess``), RGB, or what ``first_layer`` reads.
            train: whether to apply dropout, and to normalise by the statistics of the batch.
        """
        x = images.astype(self.dtype)
        layers = self.config.layers()
        if self.first_layer is not None:
            layers = dropwhile(lambda layer: layer.name != self.first_layer, layers)
            x = self._own_channels(x)
        for layer in layers:
            x = self._apply(layer, x, train)
            self.sow("intermediates", layer.name, x, init_fn=lambda: None, reduce_fn=lambda _, new: new)
            if layer.name == self.last_layer:
                break
        return x

    def _apply(self, layer: Layer, x: Array, train: bool) -> Array:
        with jax.named_scope(layer.name):
            if layer.reads_all_towers:
                x = self._gather(x)
            match layer.operation:
                case "conv":
                    return self._convolve(layer, x)
                case "dense":
                    return self._dense(layer, x)
                case "classifier":
                    # the last unit is padding if two devices hold an odd number of classes
                    return self._gather(self._dense(layer, x))[..., : self.config.classes].astype(jnp.float32)
                case "relu":
                    return nn.relu(x)
                case "tanh":
                    return jnp.tanh(x)
                case "local_response_norm":
                    return self._local_response_norm(x)
                case "spatial_response_norm":
                    return layers.spatial_response_norm(x, config=self.config.spatial_response_norm)
                case "batch_norm":
                    return self._batch_norm(layer, x, train)
                case "max_pool":
                    return _for_each_replica(partial(backends.run, layers.max_pool, config=self.config.max_pool), x)
                case "average_pool":
                    return layers.average_pool(x, config=self.config.average_pool)
                case "dropout":
                    return self._dropout(x, train)

    def _convolve(self, layer: Layer, x: Array) -> Array:
        assert isinstance(layer.config, ConvConfig)
        conv = layer.config
        groups = conv.groups if self.tower_axis is None else 1
        kernel_shape = (conv.kernel_size, conv.kernel_size, x.shape[-1] // groups)
        if conv.shared_kernel:
            kernel, bias = self._parameters(layer, kernel_shape)
            convolve = partial(backends.run, layers.convolve, config=conv, groups=groups)
            return self._add_bias(_for_each_replica(convolve, x, kernel), bias)
        if self.fully_convolutional:
            raise UsageError(f"{layer.name} is locally connected: a net with such a layer cannot slide over an image")
        kernel, bias = self._parameters(layer, (*layers.output_size(x, conv), *kernel_shape))
        return self._add_bias(layers.convolve_locally(x, kernel, config=conv, groups=groups), bias)

    def _dense(self, layer: Layer, x: Array) -> Array:
        if self.fully_convolutional:
            return self._dense_as_convolution(layer, x)
        groups = self._dense_groups(layer)
        inputs = math.prod(x.shape[1:]) // groups
        kernel, bias = self._parameters(layer, (inputs,))
        is_classifier = layer.operation == "classifier"
        x = self._shard(x, IMAGES_OF_DENSE, UNITS if is_classifier else None)
        blocks = [part.reshape(-1, inputs) for part in jnp.split(x, groups, -1)]
        units = jnp.concatenate(blocks, -1) if groups > 1 else blocks[0]
        outputs = self._add_bias(backends.run(layers.dense, units, kernel, groups=groups), bias)
        return self._shard(outputs, *((BATCH, None) if is_classifier else (IMAGES_OF_DENSE, UNITS)))

    def _dense_groups(self, layer: Layer) -> int:
        assert isinstance(layer.config, DenseConfig)
        return layer.config.groups if self.tower_axis is None else 1

    def _dense_as_convolution(self, layer: Layer, x: Array) -> Array:
        """The window of the first dense layer is the last pooling of one crop. The other windows have one pixel."""
        *_, (_, last_size) = self.config.image_sizes()
        size = last_size if layer.name == self.config.dense_names[0] else 1
        groups = self._dense_groups(layer)
        channels = x.shape[-1] // groups
        kernel, bias = self._parameters(layer, (size * size * channels,))
        windows = kernel.reshape(size, size, channels, -1)
        conv = ConvConfig(windows.shape[-1], size)
        return self._add_bias(backends.run(layers.convolve, x, windows, config=conv, groups=groups), bias)

    def _local_response_norm(self, x: Array) -> Array:
        norm = self.config.local_response_norm
        if self.tower_axis is None:
            return backends.run(
                layers.local_response_norm, x, config=norm, towers=1 if norm.across_towers else self.config.towers
            )
        if norm.across_towers:
            across = partial(layers.local_response_norm_across_devices, config=norm, tower_axis=self.tower_axis)
            return _for_each_replica(across, x)
        return backends.run(layers.local_response_norm, x, config=norm, towers=1)

    def _batch_norm(self, layer: Layer, x: Array, train: bool) -> Array:
        """In float32. A device that holds one tower holds all values of its channels."""
        norm, shape = self.config.batch_norm, x.shape[-1:]
        values = x.astype(jnp.float32)
        running = self.variable(
            "batch_stats",
            layer.name,
            lambda: {"mean": jnp.zeros(shape, jnp.float32), "var": jnp.ones(shape, jnp.float32)},
        )
        statistics = running.value
        if train:
            statistics = layers.channel_statistics(values)
            if not self.is_initializing():
                running.value = jax.tree.map(
                    lambda old, new: norm.decay * old + (1 - norm.decay) * new, running.value, statistics
                )
        return layers.batch_norm(values, statistics["mean"], statistics["var"], config=norm).astype(self.dtype)

    def _dropout(self, x: Array, train: bool) -> Array:
        dropout = self.config.dropout
        # in float32, so that a traced rate gives the same numbers
        keep = 1 - jnp.float32(dropout.rate if self.dropout_rate is None else self.dropout_rate)
        if not train:
            return x * keep.astype(x.dtype) if dropout.scaled_in == "test" else x
        tower = None if self.tower_axis is None else lax.axis_index(self.tower_axis)
        mask = layers.dropout_mask(self.make_rng("dropout"), keep, x.shape, self.config.towers, tower).astype(x.dtype)
        return x * mask if dropout.scaled_in == "test" else x * mask * (1 / keep).astype(x.dtype)

    def _parameters(self, layer: Layer, inputs: tuple[int, ...]) -> tuple[Array, Array]:
        """The kernel, in ``dtype``, and the bias of a layer; ``inputs`` are the kernel's axes before its features."""
        assert layer.config is not None
        features = layer.config.features
        if self.tower_axis is not None:
            features = -(-features // self.config.towers)
        parameters = self.param(layer.name, _initial_parameters, (*inputs, features), layer.config)
        return parameters["kernel"].astype(self.dtype), parameters["bias"]

    def _add_bias(self, sums: Array, bias: Array) -> Array:
        """In float32, because the gradient of a bias sums over all images and pixels, too many for bfloat16."""
        return backends.run(layers.add_bias, sums.astype(jnp.float32), bias).astype(self.dtype)

    def _own_channels(self, x: Array) -> Array:
        """The inverse of ``_gather``: the channels of this tower."""
        if self.tower_axis is None:
            return x
        count = x.shape[-1] // self.config.towers
        return lax.dynamic_slice_in_dim(x, lax.axis_index(self.tower_axis) * count, count, axis=x.ndim - 1)

    def _shard(self, x: Array, images: str, units: str | None) -> Array:
        """Shards the first and the last axis of ``x`` as the rules of the caller say."""
        return with_logical_constraint(x, (images, *[None] * (x.ndim - 2), units))

    def _gather(self, x: Array) -> Array:
        """Concatenates the channels of all towers."""
        if self.tower_axis is None:
            return x
        return _for_each_replica(partial(lax.all_gather, axis_name=self.tower_axis, axis=x.ndim - 1, tiled=True), x)


def _for_each_replica(function: Callable[..., Array], x: Array, *weights: Array) -> Array:
    """``function(x, *weights)``, computed by each replica of the net for its images.

    XLA divides most operations over the images by itself. It first copies the images of all replicas to all devices for
    exchanges between towers, for the gradients of grouped convolutions on a GPU, and for forms that split the batch.
    """
    rules = dict(nn.get_logical_axis_rules())
    if BATCH not in rules:
        return function(x, *weights)
    images = jax.P(rules[BATCH])
    in_specs = (images, *[jax.P()] * len(weights))
    return jax.shard_map(function, in_specs=in_specs, out_specs=images, axis_names={rules[BATCH]}, check_vma=False)(
        x, *weights
    )


def _initial_parameters(key: PRNGKeyArray, shape: tuple[int, ...], layer: ConvConfig | DenseConfig) -> dict[str, Array]:
    size = math.prod(shape)  # one flat draw, because XLA takes much longer to compile a draw with four axes
    positions = shape[:2] if len(shape) == 6 else ()  # of a locally connected layer
    bias_shape = (*positions, shape[-1])
    inputs = math.prod(shape[len(positions) : -1])
    bias = jnp.full(bias_shape, layer.bias, jnp.float32)
    if layer.kernel_stddev is not None:
        draw = partial(jax.random.truncated_normal, lower=-2.0, upper=2.0) if layer.truncate else jax.random.normal
        kernel = layer.kernel_stddev * draw(key, shape=(size,), dtype=jnp.float32)
    elif isinstance(layer, ConvConfig) and layer.uniform == "xavier":
        bound = math.sqrt(6 / (inputs + layer.kernel_size**2 * shape[-1]))
        kernel = jax.random.uniform(key, (size,), jnp.float32, -bound, bound)
    else:
        kernel_key, bias_key = jax.random.split(key)
        bound = inputs**-0.5
        kernel = jax.random.uniform(kernel_key, (size,), jnp.float32, -bound, bound)
        bias = jax.random.uniform(bias_key, bias_shape, jnp.float32, -bound, bound)
    return {"kernel": kernel.reshape(shape), "bias": bias}
