import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.training.steps.train_step import train_steps, update_step
from tests.helpers.slow import slow
from tests.training.steps.compiled import CONFIG, KEY, assert_close, at, step


def skipping(**options):
    return dataclasses.replace(CONFIG, on_nan="skip", **options)


def assert_equal(found, want):
    jax.tree.map(np.testing.assert_array_equal, found, want)


def unusable(batch):
    """``batch`` with labels of no class, so that its loss is not a number."""
    return batch | {"label": batch["label"] + CONFIG.model.classes}


@pytest.mark.parametrize("options", [{}, slow({"micro_batches": 2, "optimizer": OptimizerConfig(ema_decay=0.5)})])
def test_a_run_that_skips_a_batch_equals_one_that_never_saw_it(batch, options):
    config = skipping(**options)
    start = create_train_state(config, jax.random.key(0))
    before, kept = step(start, batch, KEY, config=config)
    after, skipped = step(before, unusable(batch), KEY, config=config)
    assert (float(kept["skipped"]), float(skipped["skipped"])) == (0, 1)
    assert np.isnan(skipped["loss"])
    assert_equal(after, before.replace(step=before.step + 1))
    never_saw_it = before.replace(step=before.step + 1)
    assert_equal(step(after, batch, KEY, config=config), step(never_saw_it, batch, KEY, config=config))


def test_a_batch_is_skipped_within_a_scan(state, batch):
    config = skipping()
    batches = jax.tree.map(lambda *leaves: jnp.stack(leaves), batch, unusable(batch), batch)
    scanned, metrics = train_steps(state, batches, KEY, config=config)
    assert metrics["skipped"].tolist() == [0, 1, 0]
    between, _ = step(state, batch, KEY, config=config)
    want, _ = step(between.replace(step=between.step + 1), batch, KEY, config=config)
    assert int(scanned.step) == 3
    assert_close(scanned.params, want.params, rtol=1e-3)


@pytest.mark.parametrize("where", ["gradients", "batch_stats"])
@pytest.mark.parametrize("tower_axis", [None, "tower"])
def test_one_number_that_is_not_finite_skips_the_step_on_all_devices(state, where, tower_axis):
    metrics = {"loss": jnp.float32(1)}
    found = {"gradients": jax.tree.map(jnp.zeros_like, state.params), "batch_stats": {"norm1": {"var": jnp.ones(4)}}}
    bad = jax.tree.map(jnp.copy, found)
    leaves, structure = jax.tree.flatten(bad[where])
    bad[where] = structure.unflatten([leaf.at[..., 0].set(jnp.inf) for leaf in leaves[:1]] + leaves[1:])
    state = state.replace(batch_stats=found["batch_stats"])

    def update(found):
        after, metrics_after = update_step(
            state, found["gradients"], metrics, found["batch_stats"], config=skipping(), tower_axis=tower_axis
        )
        return after, metrics_after["skipped"]

    of_both = jax.tree.map(lambda *leaves: jnp.stack(leaves), found, bad)
    mapped = jax.vmap(update, axis_name="tower")
    states, skipped = mapped(of_both)
    assert skipped.tolist() == ([0, 1] if tower_axis is None else [1, 1])
    assert_equal(at(states, 1), state.replace(step=state.step + 1))


def test_a_run_that_stops_counts_no_skipped_batches(state, batch):
    _, metrics = step(state, unusable(batch), KEY, config=CONFIG)
    assert set(metrics) == {"loss", "top1_error", "top5_error", "count", "learning_rate"}
