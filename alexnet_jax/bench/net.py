"""The net of this project as contenders to time, and its floating-point operations."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache import compilation_cache
from jaxtyping import PyTree

from alexnet_jax.batch import Batch
from alexnet_jax.bench.timing import Contender, seconds_of
from alexnet_jax.config import DataConfig, Dtype, ModelConfig, OptimizerConfig, TrainConfig
from alexnet_jax.net.model import AlexNet
from alexnet_jax.net.summary import summarize_model
from alexnet_jax.presets import stored_size
from alexnet_jax.training.layouts import Layout, choose_layout
from alexnet_jax.training.steps.metrics import cross_entropy
from alexnet_jax.training.steps.state import create_train_state

WORKS = ("forward", "gradient", "train")
"""Logits of float images; loss and gradient, with dropout; a training step from uint8 images to new parameters."""


def bench_config(model: ModelConfig, batch_size: int, dtype: Dtype = "float32") -> TrainConfig:
    """A run of ``model`` whose learning rate is so low that training on random images hardly changes its weights."""
    return TrainConfig(
        model=model,
        data=DataConfig(image_size=stored_size(model)),
        optimizer=OptimizerConfig(learning_rate=1e-9),
        batch_size=batch_size,
        dtype=dtype,
    )


def flops(config: ModelConfig, work: str, batch_size: int) -> int:
    """Floating-point operations of the products, two for each multiply-accumulate.

    The backward pass has two products of each layer's size, except that the gradient of the images is not computed.

    Args:
        config: the net.
        work: one of ``WORKS``.
        batch_size: images in a batch.
    """
    summary = summarize_model(config)
    macs = summary.macs if work == "forward" else 3 * summary.macs - summary.rows[0].macs
    return 2 * macs * batch_size


def random_batch(config: TrainConfig) -> Batch:
    """A batch of random stored images and labels."""
    rng = np.random.default_rng(0)
    size, channels = config.data.image_size, config.model.channels
    images = rng.integers(0, 256, (config.batch_size, size, size, channels), dtype=np.uint8)
    labels = rng.integers(0, config.model.classes, config.batch_size, dtype=np.int32)
    return {"image": jnp.asarray(images), "label": jnp.asarray(labels)}


class OwnNet:
    """The net of this project with initial weights and random images.

    Attributes:
        config: the run.
        devices: the number of devices.
        batch: stored images, uint8, and labels.
        crops: centred float images at the size of the crop, for ``forward`` and ``gradient``.
        params: the initial weights.
        batch_stats: the initial running statistics.
    """

    def __init__(self, config: TrainConfig, devices: int) -> None:
        self.config = config
        self.devices = devices
        self.batch = random_batch(config)
        size = config.model.image_size
        self.crops = self.batch["image"][:, :size, :size].astype(jnp.float32) - 127.5
        self._key = jax.random.key(1)
        self._layout = choose_layout(config, devices)
        self._net = AlexNet(config.model, dtype=config.dtype)
        state = jax.jit(partial(create_train_state, config))(jax.random.key(0))
        self.params, self.batch_stats = state.params, state.batch_stats
        self._state = self._layout.place(state)

    def contenders(self) -> dict[str, Contender]:
        """A contender for each of ``WORKS``. On two devices, only for the training step."""
        if len(self._layout.devices) > 1:
            return {"train": self._train}
        logits, gradient = jax.jit(self.logits), jax.jit(jax.value_and_grad(self._loss))
        return {
            "forward": partial(seconds_of, logits, self.params, self.crops),
            "gradient": partial(seconds_of, gradient, self.params, self.crops, self.batch["label"], self._key),
            "train": self._train,
        }

    def logits(self, params: PyTree, crops: jax.Array) -> Any:
        """The logits at test time."""
        return self._net.apply({"params": params, "batch_stats": self.batch_stats}, crops, train=False)

    def _loss(self, params: PyTree, crops: jax.Array, labels: jax.Array, key: jax.Array) -> jax.Array:
        variables, rngs = {"params": params, "batch_stats": self.batch_stats}, {"dropout": key}
        logits, _ = self._net.apply(variables, crops, train=True, rngs=rngs, mutable=["batch_stats"])
        return cross_entropy(logits, labels).mean()

    def _train(self) -> float:
        def step() -> Any:
            self._state, metrics = self._layout.train_step(self._state, self.batch, self._key)
            return self._state, metrics

        return seconds_of(step)

    def compile_seconds(self) -> dict[str, float]:
        """Seconds to trace and compile the training step, with an empty compilation cache and with a filled one."""
        with _empty_compile_cache():
            return {
                name: self._compile_once(choose_layout(self.config, len(self._layout.devices)))
                for name in ("cold", "cached")
            }

    def _compile_once(self, layout: Layout) -> float:
        return seconds_of(layout.compile_train_steps, self._state, self.batch, self._key, [1])


@contextlib.contextmanager
def _empty_compile_cache() -> Iterator[None]:
    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    with tempfile.TemporaryDirectory() as directory:
        _use_cache({"jax_compilation_cache_dir": directory, "jax_persistent_cache_min_compile_time_secs": 0.0})
        try:
            yield
        finally:
            _use_cache(before)


def _use_cache(settings: dict[str, Any]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()  # JAX reads the directory only once
