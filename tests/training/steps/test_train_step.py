import dataclasses
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alexnet_jax.config import AugmentConfig
from alexnet_jax.training.optimizer.rules import make_optimizer
from alexnet_jax.training.steps.metrics import summarize
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.training.steps.train_step import loss_fn, train_step, train_steps
from tests.training.steps.compiled import CONFIG, KEY, assert_close, at, loss, predict, step


def test_a_step_changes_every_parameter_and_advances_the_counter(state, batch):
    after, metrics = step(state, batch, KEY, config=CONFIG)
    assert int(after.step) == 1
    changed = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), after.params, state.params)
    assert all(jax.tree.leaves(changed)), changed
    assert_close(after.statistics, state.statistics)
    assert 0 < float(metrics["loss"]) < 100
    assert float(metrics["learning_rate"]) == pytest.approx(0.01)


def test_training_lowers_the_loss(state, batch):
    first = None
    for _ in range(30):
        state, metrics = step(state, batch, KEY, config=CONFIG)
        first = first or float(metrics["loss"])
    assert float(metrics["loss"]) < 0.9 * first


def test_a_step_is_deterministic_and_differs_from_the_next_with_the_same_key(state, batch):
    once, metrics = step(state, batch, KEY, config=CONFIG)
    again, _ = step(state, batch, KEY, config=CONFIG)
    jax.tree.map(np.testing.assert_array_equal, once, again)
    _, later = step(state.replace(step=state.step + 1), batch, KEY, config=CONFIG)
    assert float(later["loss"]) != float(metrics["loss"])  # other crops and masks at another step


@pytest.mark.slow
def test_vmap_over_states_trains_an_ensemble(state, batch):
    keys = jax.random.split(jax.random.key(3), 2)
    states = jax.vmap(lambda key: create_train_state(CONFIG, key))(keys)
    together, metrics = jax.jit(jax.vmap(partial(train_step, config=CONFIG), in_axes=(0, None, None)))(
        states, batch, KEY
    )
    for index in range(2):
        single, single_metrics = step(at(states, index), batch, KEY, config=CONFIG)
        assert_close(at(together.params, index), single.params, rtol=1e-3)
        assert float(metrics["loss"][index]) == pytest.approx(float(single_metrics["loss"]), rel=1e-4)


def test_train_steps_equals_repeated_train_step(state, batch):
    batches = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1], leaf]), batch)
    scanned, metrics = train_steps(state, batches, KEY, config=CONFIG)
    for index in range(3):
        item = at(batches, index)
        state, last = step(state, item, KEY, config=CONFIG)
    assert_close(scanned.params, state.params, rtol=1e-3)
    assert float(metrics["loss"][-1]) == pytest.approx(float(last["loss"]), rel=1e-4)


def test_convolutions_in_a_scan_of_steps_have_the_order_of_axes_that_is_fast_on_a_cpu(state, batch):
    """XLA runs other orders without Eigen in a loop, ten times slower."""
    batches = jax.tree.map(lambda leaf: jnp.stack([leaf] * 2), batch)
    program = jax.jit(train_steps, static_argnames="config").lower(state, batches, KEY, config=CONFIG).compile()
    orders = re.findall(r" convolution\(.*dim_labels=([^,]*)", program.as_text())
    assert len(orders) >= 3 * len(CONFIG.model.convs) - 1
    assert set(orders) == {"b01f_01io->b01f"}


@pytest.mark.slow
def test_forward_and_reverse_mode_gradients_match_finite_differences(state, batch):
    direction = jax.tree.map(
        lambda leaf: jax.random.normal(jax.random.key(leaf.size), leaf.shape, leaf.dtype), state.params
    )

    @jax.jit
    def loss_at(distance):
        params = jax.tree.map(lambda leaf, way: leaf + distance * way, state.params, direction)
        return loss_fn(params, state, batch, KEY, config=CONFIG)[0]

    size = 1e-4
    want = (loss_at(size) - loss_at(-size)) / (2 * size)
    assert float(jax.jvp(loss_at, (0.0,), (1.0,))[1]) == pytest.approx(float(want), rel=0.05)
    assert float(jax.grad(loss_at)(0.0)) == pytest.approx(float(want), rel=0.05)


def test_frozen_layers_do_not_change_and_a_layer_rate_scales_the_update(state, batch):
    schedule = dataclasses.replace(CONFIG.schedule, layer_rates=(("fc3", 0, 0.5),))
    # under this rule and without decay, the velocities of the first step are the gradients
    optimizer = dataclasses.replace(CONFIG.optimizer, rule="optax_sgd", weight_decay=0.0, frozen=("conv1",))
    config = dataclasses.replace(CONFIG, schedule=schedule, optimizer=optimizer)
    start = state.replace(opt_state=make_optimizer(optimizer).init(state.params))
    after, metrics = step(start, batch, KEY, config=config)
    np.testing.assert_array_equal(after.params["conv1"]["kernel"], state.params["conv1"]["kernel"])
    np.testing.assert_array_equal(after.params["conv1"]["bias"], state.params["conv1"]["bias"])
    (gradients,) = (part.trace for part in after.opt_state if hasattr(part, "trace"))
    assert not np.any(gradients["conv1"]["kernel"])
    assert np.any(gradients["conv2"]["kernel"])
    updates = jax.tree.map(jnp.subtract, after.params, state.params)
    rate = float(metrics["learning_rate"])
    assert_close(updates["conv2"], jax.tree.map(lambda leaf: -rate * leaf, gradients["conv2"]), rtol=1e-2)
    assert_close(updates["fc3"], jax.tree.map(lambda leaf: -rate / 2 * leaf, gradients["fc3"]), rtol=1e-2)


@pytest.mark.slow
def test_the_gradient_through_a_step_is_the_gradient_that_the_step_used(state, batch):
    optimizer = dataclasses.replace(CONFIG.optimizer, rule="optax_sgd", weight_decay=0.0)
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    start = state.replace(opt_state=make_optimizer(optimizer).init(state.params))

    def loss_of_step(params):
        after, metrics = train_step(start.replace(params=params), batch, KEY, config=config)
        return metrics["loss"], after.opt_state

    gradient, opt_state = jax.jit(jax.grad(loss_of_step, has_aux=True))(state.params)
    (velocities,) = (part.trace for part in opt_state if hasattr(part, "trace"))
    assert_close(gradient, velocities)


def test_colour_noise_ends_at_its_epoch(state, batch):
    augment = AugmentConfig(pca_colour_noise=5.0, pca_colour_noise_until=2)  # 4 steps an epoch
    config, quiet = (
        dataclasses.replace(CONFIG, augment=item)
        for item in (augment, dataclasses.replace(augment, pca_colour_noise=0.0))
    )
    for at_step, same in ((7, False), (8, True)):
        late = state.replace(step=jnp.array(at_step, jnp.int32))
        losses = [float(loss(late.params, late, batch, KEY, config=item)[0]) for item in (config, quiet)]
        assert (losses[0] == pytest.approx(losses[1], rel=1e-6)) == same


def test_micro_batches_give_the_update_of_the_whole_batch(state, plain):
    config, batch = plain
    want, want_metrics = step(state, batch, KEY, config=config)
    found, metrics = step(state, batch, KEY, config=dataclasses.replace(config, micro_batches=4))
    assert_close(found.opt_state, want.opt_state)
    assert_close(found.params, want.params)
    assert_close(metrics, want_metrics)
    assert float(metrics["count"]) == 8


def test_label_smoothing_changes_the_loss_of_training_and_not_the_reported_one(state, plain):
    config, batch = plain
    smoothed = dataclasses.replace(config, label_smoothing=0.25)
    found, metrics = loss(state.params, state, batch, KEY, config=smoothed)
    logits = predict(state, batch["image"], config=config)
    one_hot = jax.nn.one_hot(batch["label"], config.model.classes, dtype=jnp.float32)
    want = optax.softmax_cross_entropy(logits, optax.smooth_labels(one_hot, 0.25)).mean()
    assert float(found) == pytest.approx(float(want), rel=1e-5)
    assert float(metrics["loss"]) == pytest.approx(float(summarize(logits, batch["label"])["loss"]), rel=1e-5)
    assert float(metrics["loss"]) != pytest.approx(float(found), rel=1e-2)
