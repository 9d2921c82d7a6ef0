"""The operations of a net as separate contenders to time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from alexnet_jax.bench.timing import Contender, Task, seconds_of
from alexnet_jax.config import Layer, TrainConfig
from alexnet_jax.net.model import AlexNet
from alexnet_jax.net.summary import summarize_model


class OneLayer(AlexNet):
    """One operation of a net, applied to the output of the operation before it."""

    layer: Layer | None = None

    @nn.compact
    def __call__(self, images: jax.Array, train: bool = False) -> jax.Array:
        """Applies ``layer``."""
        assert self.layer is not None
        return self._apply(self.layer, images, train)


def layer_contenders(config: TrainConfig, params: PyTree, batch_stats: PyTree) -> Iterator[tuple[Task, Contender]]:
    """Each operation on normally distributed inputs, as in training: ``forward`` and ``gradient``.

    Args:
        config: the net, its batch size and its dtype.
        params: its parameters.
        batch_stats: its running statistics.
    """
    summary, batch_size = summarize_model(config.model), config.batch_size
    rng = np.random.default_rng(0)
    shape = summary.input_shape
    for layer, row in zip(config.model.layers(), summary.rows, strict=True):
        apply = _layer_function(config, layer, batch_stats)
        reads_images = row is summary.rows[0]
        own = {row.name: params[row.name]} if row.name in params else {}
        inputs = jnp.asarray(rng.standard_normal((batch_size, *shape), np.float32), config.dtype)
        output = jax.eval_shape(apply, own, inputs)
        gradient = jnp.asarray(rng.standard_normal(output.shape, np.float32), output.dtype)
        backward = jax.jit(partial(_backward, apply, reads_images=reads_images))
        flops = 2 * row.macs * batch_size
        yield Task("layer", row.name, "forward", flops), partial(seconds_of, jax.jit(apply), own, inputs)
        flops *= 2 if reads_images else 3
        yield Task("layer", row.name, "gradient", flops), partial(seconds_of, backward, own, inputs, gradient)
        shape = row.shape


def _layer_function(config: TrainConfig, layer: Layer, batch_stats: PyTree) -> Any:
    net = OneLayer(config.model, dtype=config.dtype, layer=layer)
    own = {layer.name: batch_stats[layer.name]} if layer.name in batch_stats else {}

    def apply(params: PyTree, inputs: jax.Array) -> Any:
        variables, rngs = {"params": params, "batch_stats": own}, {"dropout": jax.random.key(2)}
        return net.apply(variables, inputs, train=True, rngs=rngs, mutable=["batch_stats"])[0]

    return apply


def _backward(apply: Any, params: PyTree, inputs: jax.Array, gradient: jax.Array, reads_images: bool) -> Any:
    """The output, and the gradients of the parameters and, unless the inputs are images, of the inputs."""
    if reads_images:
        outputs, pull = jax.vjp(lambda params: apply(params, inputs), params)
    else:
        outputs, pull = jax.vjp(apply, params, inputs)
    return outputs, pull(gradient)
