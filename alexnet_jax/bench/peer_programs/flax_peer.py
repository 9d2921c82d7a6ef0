"""The net in plain Flax, as users would write it, for ``alexnet bench --against flax``.

    python flax_peer.py DIRECTORY

``nn.Conv`` with ``feature_group_count``, ``nn.max_pool``, ``lax.reduce_window`` for the normalisation, ``optax.sgd``.
"""

from __future__ import annotations

import sys
from functools import partial

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from alexnet_jax.bench.peer_programs.serve import layers, read_task, serve
from alexnet_jax.config import ConvConfig, ModelConfig, OptimizerConfig, TrainConfig
from alexnet_jax.config.windows import window_padding


class Net(nn.Module):
    config: ModelConfig
    dtype: str

    @nn.compact
    def __call__(self, x, train):
        for number, conv in enumerate(self.config.convs, start=1):
            x = self.convolve(x, f"conv{number}", conv)
            for operation in conv.then:
                x = self.operate(operation, x)
        x = x.reshape(x.shape[0], -1)
        *hidden, head = self.config.dense_names
        for name, dense in zip(hidden, self.config.dense, strict=True):
            if self.config.dropout.place == "before":
                x = self.dropout(x, train)
            x = nn.relu(nn.Dense(dense.features, dtype=self.dtype, name=name)(x))
            if self.config.dropout.place == "after":
                x = self.dropout(x, train)
        x = nn.Dense(self.config.classes, dtype=self.dtype, name=head)(x)
        return x.astype(jnp.float32)

    def convolve(self, x, name, conv: ConvConfig):
        padding = window_padding(x.shape[1], conv.kernel_size, conv.stride, conv.padding, conv.rounding)
        size, strides = (conv.kernel_size,) * 2, (conv.stride,) * 2
        groups = conv.groups
        return nn.Conv(
            conv.features, size, strides, [padding] * 2, feature_group_count=groups, dtype=self.dtype, name=name
        )(x)

    def operate(self, operation, x):
        config = self.config
        if operation in ("relu", "tanh"):
            return getattr(nn, operation)(x)
        if operation == "max_pool":
            pool = config.max_pool
            padding = window_padding(x.shape[1], pool.size, pool.stride, 0, pool.rounding)
            return nn.max_pool(x, (pool.size,) * 2, (pool.stride,) * 2, [padding] * 2)
        if operation == "spatial_response_norm":
            rnorm = config.spatial_response_norm
            sums = window_sum(x * x, (1, rnorm.size, rnorm.size, 1))
            return x / (rnorm.k + rnorm.alpha / rnorm.size**2 * sums) ** rnorm.beta
        norm = config.local_response_norm
        towers = 1 if norm.across_towers else config.towers
        sums = window_sum((x * x).reshape(*x.shape[:3], towers, -1), (1, 1, 1, 1, norm.size)).reshape(x.shape)
        alpha = norm.alpha / norm.size if norm.divide_alpha else norm.alpha
        return x / (norm.k + alpha * sums) ** norm.beta

    def dropout(self, x, train):
        dropout = self.config.dropout
        x = nn.Dropout(dropout.rate, deterministic=not train)(x)
        return x * (1.0 - dropout.rate) if dropout.scaled_in == "test" else x


def window_sum(x, window):
    return lax.reduce_window(x, np.zeros((), x.dtype), lax.add, window, (1,) * x.ndim, "SAME")


def make_optimizer(rule: OptimizerConfig) -> optax.GradientTransformation:
    def kernels(params):
        return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)

    def biases(params):
        return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "bias", params)

    return optax.chain(
        optax.add_decayed_weights(rule.weight_decay, kernels),
        optax.add_decayed_weights(rule.bias_decay, biases),
        optax.sgd(rule.learning_rate, rule.momentum),
    )


class Form:
    """The net, compiled."""

    def __init__(self, config: TrainConfig, arrays: dict[str, np.ndarray]) -> None:
        net, optimizer = Net(config.model, config.dtype), make_optimizer(config.optimizer)
        self.images, self.labels = jnp.asarray(arrays["images"]), jnp.asarray(arrays["labels"])
        self.params = jax.tree.map(jnp.asarray, layers(arrays, "channels_last"))
        self.trained = jax.tree.map(jnp.copy, self.params)
        self.velocities = optimizer.init(self.params)
        self.key = jax.random.key(0)

        def loss(params, images, labels, key):
            logits = net.apply({"params": params}, images, True, rngs={"dropout": key})
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        @partial(jax.jit, donate_argnums=(0, 1))
        def train(params, velocities, images, labels, key):
            gradients = jax.grad(loss)(params, images, labels, key)
            updates, velocities = optimizer.update(gradients, velocities, params)
            return optax.apply_updates(params, updates), velocities

        self.call = jax.jit(lambda params, images: net.apply({"params": params}, images, False))
        self.value_and_grad, self.step = jax.jit(jax.value_and_grad(loss)), train

    def logits(self) -> np.ndarray:
        return np.asarray(self.call(self.params, self.images))

    def forward(self) -> None:
        self.call(self.params, self.images).block_until_ready()

    def gradient(self) -> None:
        jax.block_until_ready(self.value_and_grad(self.params, self.images, self.labels, self.key))

    def train(self) -> None:
        after = self.step(self.trained, self.velocities, self.images, self.labels, self.key)
        self.trained, self.velocities = jax.block_until_ready(after)


def main() -> None:
    serve(f"Flax {flax.__version__}, JAX {jax.__version__}", {"NHWC": Form(*read_task(sys.argv[1]))})


if __name__ == "__main__":
    main()
