"""How near two devices come to one: what each holds, and the largest difference in loss, logits and gradients.

    python experiments/two_towers.py [VARIANT ...]

trains each variant (default: paper, original, caffe_alexnet, small) for one step on random images, whole on one device
and as two towers on two, from the same weights, with dropout. A difference is max |a - b| / max |b| within an array; that
of the gradients is taken between the velocities after the step: the gradients times the rate, and the decay.
"""

from __future__ import annotations

import sys

import jax
import jax.numpy as jnp
import numpy as np

from alexnet_jax.config import DataConfig, ScheduleConfig, TrainConfig
from alexnet_jax.parallel import OneDevice, TwoTowers, bytes_per_device, use_virtual_devices
from alexnet_jax.train_state import create_train_state
from alexnet_jax.variants import variant

BATCH = 4


def difference(found: np.ndarray, want: np.ndarray) -> float:
    """Largest difference, as a share of the largest value."""
    return float(np.abs(found - want).max() / np.abs(want).max())


def compare(name: str) -> None:
    model = variant(name)
    size = round(model.image_size * 256 / 224)
    config = TrainConfig(model, DataConfig(image_size=size), schedule=ScheduleConfig("plateau"), batch_size=BATCH)
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.integers(0, 256, (BATCH, size, size, model.channels), dtype=np.uint8),
        "label": np.arange(BATCH, dtype=np.int32),
    }
    state = create_train_state(config, jax.random.key(0))
    # wider weights than the published ones, so that the signal of random images reaches every gradient
    state = state.replace(params=jax.tree.map(lambda leaf: 2.0 * leaf, state.params))
    results = []
    for layout in (OneDevice(config, jax.devices()[:1]), TwoTowers(config, jax.devices()[:2])):
        placed = layout.place(state)
        held = [f"{size:,}" for size in bytes_per_device(placed).values()]
        logits = np.asarray(layout.predict_step(placed, jnp.asarray(batch["image"]), "center"))
        placed, metrics = layout.train_step(placed, batch, jax.random.key(1))
        velocity = layout.collect(placed).opt_state
        results.append((held, logits, float(metrics["loss"]), [np.asarray(leaf) for leaf in jax.tree.leaves(velocity)]))
    (one, logits1, loss1, velocity1), (two, logits2, loss2, velocity2) = results
    gradient = max(difference(b, a) for a, b in zip(velocity1, velocity2, strict=True) if np.abs(a).max() > 0)
    print(
        f"{name:<14} bytes on one device {one[0]}, on two {' and '.join(two)}; differences: loss "
        f"{abs(loss2 / loss1 - 1):.1e}, logits {difference(logits2, logits1):.1e}, gradients {gradient:.1e}",
        flush=True,
    )


if __name__ == "__main__":
    use_virtual_devices()
    for each in sys.argv[1:] or ["paper", "original", "caffe_alexnet", "small"]:
        compare(each)
