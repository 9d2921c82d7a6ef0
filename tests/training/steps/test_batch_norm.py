"""The running statistics of batch normalisation in training, in a tiny alexnet_bn."""

from __future__ import annotations

import dataclasses
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import AugmentConfig, OptimizerConfig
from alexnet_jax.training.layouts import OneDevice, TwoTowers
from alexnet_jax.training.runs.checkpoint import Checkpoints
from alexnet_jax.training.runs.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.steps.eval_step import eval_step
from alexnet_jax.training.steps.finite import all_finite
from alexnet_jax.training.steps.state import abstract_train_state, create_train_state
from alexnet_jax.training.steps.train_step import loss_fn, train_step, train_steps
from alexnet_jax.weights.fine_tuning import start_from
from alexnet_jax.weights.weights import Weights
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.trees import assert_same

KEY = jax.random.key(5)
WHOLE = tiny_config("alexnet_bn")


def first_layers():
    """The first two convolutions of the net, to compile fast. Each precedes a batch normalisation."""
    model = tiny_model("alexnet_bn")
    return tiny_config(
        model=dataclasses.replace(model, convs=model.convs[:2], dense=()),
        augment=AugmentConfig(mean="channel", random_crop="center", horizontal_flip=False, pca_colour_noise=0.0),
    )


CONFIG = first_layers()
step = jax.jit(train_step, static_argnames="config")


@cache
def initial(config=CONFIG):
    return jax.jit(partial(create_train_state, config))(jax.random.key(0))


def assert_close(found, want, rtol):
    """Equal to float32 rounding, measured against the largest value of each array."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=0, atol=rtol * float(np.abs(b).max())), found, want)


def test_statistics_start_at_mean_0_and_variance_1():
    state = initial()
    assert set(state.batch_stats) == {"bn2", "bn3"}
    for arrays in state.batch_stats.values():
        assert not np.any(arrays["mean"])
        np.testing.assert_array_equal(arrays["var"], 1)
    assert initial(tiny_config()).batch_stats == {}


def test_a_step_updates_all_statistics_and_evaluation_uses_them(batch):
    before = initial()
    after, _ = step(before, batch, KEY, config=CONFIG)
    for path, leaf in jax.tree_util.tree_leaves_with_path(after.batch_stats):
        assert np.all(leaf != 0), path
    evaluate = jax.jit(eval_step, static_argnames="config")
    losses = [
        float(evaluate(after.replace(batch_stats=stats), batch, config=CONFIG)["loss"])
        for stats in (before.batch_stats, after.batch_stats)
    ]
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_the_training_loss_does_not_depend_on_the_running_statistics(batch):
    loss = jax.jit(loss_fn, static_argnames="config")
    state = initial()
    other = state.replace(batch_stats=jax.tree.map(lambda leaf: leaf + 3, state.batch_stats))
    found = [float(loss(item.params, item, batch, KEY, config=CONFIG)[0]) for item in (state, other)]
    assert found[0] == found[1]


def test_the_loss_falls_in_training_and_in_evaluation(batch):
    """After 30 steps the weight of the initial statistics is 4%."""
    config = dataclasses.replace(CONFIG, optimizer=OptimizerConfig(learning_rate=0.001))
    state = initial(config)
    evaluate = jax.jit(eval_step, static_argnames="config")
    for _ in range(30):
        state, metrics = step(state, batch, KEY, config=config)
    assert float(metrics["loss"]) < 1.5
    assert float(evaluate(state, batch, config=config)["loss"]) < 1.5


@pytest.mark.slow
def test_two_towers_equal_one_device_over_three_steps(batch):
    one, two = OneDevice(WHOLE, jax.devices()[:1]), TwoTowers(WHOLE, jax.devices()[:2])
    state = initial(WHOLE)
    grouped, towers = one.place(state), two.place(state)
    assert towers.batch_stats["bn3"]["mean"].shape == (2, 8)
    assert not towers.batch_stats["bn3"]["mean"].is_fully_replicated
    for count in range(3):
        grouped, want = one.train_step(grouped, batch, KEY)
        towers, found = two.train_step(towers, batch, KEY)
        assert_close(found, want, 1e-5)
        if count == 0:  # the velocities are the gradients
            assert_close(two.collect(towers).opt_state, grouped.opt_state, 1e-4)
    collected = two.collect(towers)
    assert_close(collected.params, grouped.params, 1e-4)
    assert_close(collected.batch_stats, grouped.batch_stats, 1e-4)
    assert_close(
        two.predict_step(towers, batch["image"], "center"), one.predict_step(grouped, batch["image"], "center"), 1e-4
    )


def test_a_scan_of_steps_equals_repeated_steps(batch):
    state = initial()
    batches = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1], leaf]), batch)
    scanned, _ = jax.jit(partial(train_steps, config=CONFIG))(state, batches, KEY)
    for index in range(3):
        state, _ = step(state, jax.tree.map(lambda leaf, index=index: leaf[index], batches), KEY, config=CONFIG)
    assert_close(scanned.batch_stats, state.batch_stats, 1e-4)


def test_micro_batches_move_the_statistics_once_towards_their_mean(batch):
    state = initial()
    found, _ = step(state, batch, KEY, config=dataclasses.replace(CONFIG, micro_batches=2))
    halves = [jax.tree.map(lambda leaf, part=part: leaf[part], batch) for part in (slice(0, 8, 2), slice(1, 8, 2))]
    one, other = (step(state, half, KEY, config=CONFIG)[0].batch_stats for half in halves)
    assert_close(found.batch_stats, jax.tree.map(lambda a, b: (a + b) / 2, one, other), 1e-5)


def test_the_average_of_the_weights_has_averaged_statistics(batch):
    config = dataclasses.replace(CONFIG, optimizer=OptimizerConfig(ema_decay=0.5))
    state = initial(config)
    after, _ = step(state, batch, KEY, config=config)
    decay = 2 / 11  # (1 + n) / (10 + n) after the first step
    want = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.batch_stats, after.batch_stats)
    assert_close(after.inference_variables["batch_stats"], want, 1e-6)
    assert set(after.inference_params) == set(state.params)
    two = TwoTowers(config, jax.devices()[:2])
    assert_same(two.collect(two.place(after)), jax.device_get(after))


def test_a_checkpoint_keeps_the_statistics_bit_for_bit(batch, tmp_path):
    state, _ = step(initial(), batch, KEY, config=CONFIG)
    with CheckpointWriter(tmp_path) as writer:
        writer.save(jax.device_get(state))
    restored = Checkpoints(tmp_path, warn=print).restore(abstract_train_state(CONFIG))
    assert_same(restored, jax.device_get(state))
    again, want = (step(item, batch, KEY, config=CONFIG)[0] for item in (restored, state))
    assert_same(again, want)


def test_statistics_that_are_not_finite_are_found():
    state = initial()
    assert bool(all_finite(state, config=CONFIG))
    bad = state.batch_stats | {"bn3": state.batch_stats["bn3"] | {"var": jnp.full(16, jnp.nan)}}
    assert not bool(all_finite(state.replace(batch_stats=bad), config=CONFIG))


def test_fine_tuning_takes_the_statistics_with_the_weights(batch):
    trained, _ = step(initial(), batch, KEY, config=CONFIG)
    variables = trained.inference_variables
    for classes in (10, 4):
        config = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, classes=classes))
        state = start_from(Weights(CONFIG, statistics=trained.statistics, **variables), initial(config), config)
        assert_same(state.batch_stats, trained.batch_stats)
