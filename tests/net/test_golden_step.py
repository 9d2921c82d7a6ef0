"""One training step of every variant, in miniature, against stored numbers.

A change of a variant, of the order of operations, of preprocessing, or of the update changes the numbers. To store new
ones after an intended change, run `uv run python -m tests.net.test_golden_step` and look at the diff.
"""

import dataclasses
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alexnet_jax.config import DataConfig, ModelConfig, ScheduleConfig, TrainConfig
from alexnet_jax.ops.backends import use_forms
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.training.steps.train_step import loss_fn, train_step
from alexnet_jax.variants import VARIANTS, variant
from tests.helpers.slow import slow_except

STORED = Path(__file__).with_name("golden_step.json")
BATCH = 4


QUICK = {"paper", "torchvision", "small", "cifar10_11pct"}


def miniature(name: str) -> ModelConfig:
    """The net with few channels, small images and weights so large that every layer counts."""
    model = variant(name)
    if name == "small":
        return model

    def narrow(layer, features):
        stddev = None if layer.kernel_stddev is None else 10 * layer.kernel_stddev
        return dataclasses.replace(layer, features=features, kernel_stddev=stddev)

    return dataclasses.replace(
        model,
        convs=tuple(narrow(conv, conv.features // 16 * 2) for conv in model.convs),
        dense=tuple(narrow(dense, 16) for dense in model.dense),
        classes=10,
        image_size=min(67, model.image_size),
        head_kernel_stddev=None if model.head_kernel_stddev is None else 0.3,
    )


def one_step(name: str) -> dict[str, float]:
    model = miniature(name)
    stored_size = model.image_size + 5
    config = TrainConfig(model, DataConfig(image_size=stored_size), schedule=ScheduleConfig("steps"), batch_size=BATCH)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH, stored_size, stored_size, model.channels), dtype=np.uint8)
    batch = {"image": jnp.asarray(images), "label": jnp.arange(BATCH, dtype=jnp.int32)}

    def run(key):
        state = create_train_state(config, key)
        gradients, metrics = jax.grad(loss_fn, has_aux=True)(state.params, state, batch, key, config=config)
        after, _ = train_step(state, batch, key, config=config)
        updates = jax.tree.map(jnp.subtract, after.params, state.params)
        norm = optax.tree.norm
        return {"loss": metrics["loss"], "gradient_norm": norm(gradients), "update_norm": norm(updates)}

    with use_forms("plain"):  # test_backends.py tests the other forms, and plain forms compile faster
        found = jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})(jax.random.key(0))
    return {kind: float(number) for kind, number in found.items()}


@pytest.mark.parametrize("name", slow_except(QUICK, VARIANTS))
def test_one_step_gives_the_stored_numbers(name):
    assert one_step(name) == pytest.approx(json.loads(STORED.read_text())[name], rel=1e-3)


if __name__ == "__main__":
    STORED.write_text(json.dumps({name: one_step(name) for name in VARIANTS}, indent=2) + "\n")
