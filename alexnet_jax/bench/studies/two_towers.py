"""Differences between one device and two towers on two devices: memory, loss, logits and gradients.

    uv run python -m alexnet_jax.bench.studies.two_towers [VARIANT ...]

This trains each variant (default: paper, original, caffe_alexnet, small) for one step on random images, on one device
and as two towers on two devices, from the same weights and with dropout. A difference is max |a - b| / max |b| within
an array. For the gradients, it is that of the velocities after the step. The script prints three random draws, because
rounding can change which of two nearly equal values max-pooling selects, and the gradient then goes to another pixel.
"""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from alexnet_jax.config import DataConfig, ScheduleConfig, TrainConfig
from alexnet_jax.runtime import use_virtual_devices
from alexnet_jax.training.layouts import Layout, OneDevice, TwoTowers
from alexnet_jax.training.layouts.placement import bytes_per_device
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.variants import variant

BATCH = 4


def difference(found: np.ndarray, want: np.ndarray) -> float:
    """The largest difference, relative to the largest value."""
    return float(np.abs(found - want).max() / np.abs(want).max())


def compare(name: str) -> None:
    """Prints the differences of the variant ``name``, for three random draws."""
    model = variant(name)
    stored = round(model.image_size * 256 / 224)
    config = TrainConfig(model, DataConfig(image_size=stored), schedule=ScheduleConfig("plateau"), batch_size=BATCH)
    layouts = OneDevice(config, jax.devices()[:1]), TwoTowers(config, jax.devices()[:2])
    for seed in range(3):
        one, two = (step(layout, config, seed) for layout in layouts)
        gradients = (difference(b, a) for a, b in zip(one["velocity"], two["velocity"], strict=True) if a.any())
        print(
            f"{name:<14} draw {seed}: {one['bytes']} bytes on one device, {two['bytes']} on two; differences: "
            f"loss {difference(two['loss'], one['loss']):.1e}, logits {difference(two['logits'], one['logits']):.1e}, "
            f"gradients {max(gradients):.1e}",
            flush=True,
        )


def step(layout: Layout, config: TrainConfig, seed: int) -> dict[str, Any]:
    """Bytes on each device, the logits before a step, and the loss and velocities after it."""
    rng, model, size = np.random.default_rng(seed), config.model, config.data.image_size
    images = rng.integers(0, 256, (BATCH, size, size, model.channels), dtype=np.uint8)
    batch = {"image": jnp.asarray(images), "label": jnp.arange(BATCH, dtype=jnp.int32)}
    state = create_train_state(config, jax.random.key(seed))
    # larger weights than published, so that every layer has gradients on random images
    placed = layout.place(state.replace(params=jax.tree.map(lambda leaf: 2.0 * leaf, state.params)))
    held = " and ".join(f"{size:,}" for size in bytes_per_device(placed).values())
    logits = np.asarray(layout.predict_step(placed, batch["image"], "center"))
    placed, metrics = layout.train_step(placed, batch, jax.random.key(1))
    velocity = [np.asarray(leaf) for leaf in jax.tree.leaves(layout.collect(placed).opt_state)]
    return {"bytes": held, "logits": logits, "loss": np.asarray(metrics["loss"]), "velocity": velocity}


if __name__ == "__main__":
    use_virtual_devices()
    for each in sys.argv[1:] or ["paper", "original", "caffe_alexnet", "small"]:
        compare(each)
