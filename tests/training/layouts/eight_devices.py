"""Trains a tiny net on layouts of up to eight virtual devices, and prints how far each is from one device.

    python -m tests.training.layouts.eight_devices SCENARIO LAYOUT/DEVICES ...

This is a program, because the number of virtual devices of a process cannot change.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from typing import Any

import jax
import numpy as np

from alexnet_jax import runtime
from alexnet_jax.config import OptimizerConfig, TrainConfig
from alexnet_jax.training.layouts import LAYOUTS, Layout
from alexnet_jax.training.runs.checkpoint import tree_digest
from alexnet_jax.training.steps.state import TrainState, create_train_state
from tests.helpers.nets import tiny_config

BATCH_SIZE = 16


def with_classes(config: TrainConfig, classes: int) -> TrainConfig:
    return replace(config, model=replace(config.model, classes=classes))


SCENARIOS: dict[str, TrainConfig] = {
    "paper": tiny_config("paper"),
    "norm_across_towers": tiny_config("original"),
    "batch_norm": tiny_config("alexnet_bn"),
    "bfloat16": tiny_config("paper", dtype="bfloat16"),
    # norms of whole arrays, an odd number of classes, micro-batches and an average
    "lars": with_classes(
        tiny_config(
            optimizer=OptimizerConfig(rule="lars", lars_trust=0.01, nesterov=True, clip_norm=0.1, ema_decay=0.5),
            label_smoothing=0.1,
            micro_batches=2,
        ),
        9,
    ),
    # the third batch has labels without a class, so that its loss is not a number
    "skip": tiny_config("alexnet_bn", on_nan="skip"),
    # needs whole arrays, and has a state of other shapes than the parameters
    "adafactor": tiny_config(optimizer=OptimizerConfig(rule="optax.adafactor", learning_rate=0.01)),
}


def train(layout: Layout, steps: int) -> tuple[list[float], TrainState, dict[str, float], np.ndarray]:
    rng = np.random.default_rng(0)
    classes = layout.config.model.classes
    state = layout.place(create_train_state(layout.config, jax.random.key(0)))
    losses = []
    for step in range(steps):
        images = rng.integers(0, 256, (BATCH_SIZE, 72, 72, 3), dtype=np.uint8)
        batch = {"image": images, "label": np.arange(BATCH_SIZE, dtype=np.int32) % classes}
        if layout.config.on_nan == "skip" and step == 2:
            batch["label"] += classes
        state, metrics = layout.train_step(state, batch, jax.random.key(5))
        if not metrics.get("skipped"):
            losses.append(float(metrics["loss"]))
    held_out = {name: leaf[:13] for name, leaf in batch.items()}  # which no layout divides evenly
    errors = {name: float(value) for name, value in layout.eval_step(state, held_out, "center").items()}
    scores = np.asarray(layout.predict_step(state, images[:5], "center"))
    return losses, layout.collect(state), errors, scores


def largest_difference(found: Any, want: Any) -> float:
    """Of two trees, relative to the largest value of each array."""

    def of(a: Any, b: Any) -> float:
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape
        return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))

    return max(jax.tree.leaves(jax.tree.map(of, found, want)))


def main(scenario: str, *names: str) -> None:
    config = replace(SCENARIOS[scenario], batch_size=BATCH_SIZE)
    steps = int(os.environ.get("STEPS", "5"))
    want = train(LAYOUTS["single"](config, jax.devices()[:1]), steps)
    for name in names:
        layout, devices = name.split("/")
        found = train(LAYOUTS[layout](config, jax.devices()[: int(devices)]), steps)
        trees = ("params", "opt_state", "average", "batch_stats")
        print(
            json.dumps(
                {
                    "layout": name,
                    "losses": largest_difference(found[0], want[0]),
                    **{tree: difference(found[1], want[1], tree) for tree in trees},
                    "errors": largest_difference(found[2], want[2]),
                    "scores": largest_difference(found[3], want[3]),
                    "sha256": tree_digest(found[1].params),
                }
            ),
            flush=True,
        )


def difference(found: TrainState, want: TrainState, tree: str) -> float:
    found, want = getattr(found, tree), getattr(want, tree)
    return largest_difference(found, want) if jax.tree.leaves(want) else 0.0


if __name__ == "__main__":
    runtime.tune_cpu()
    runtime.use_virtual_devices(8)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    main(*sys.argv[1:])
