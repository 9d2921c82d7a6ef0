import dataclasses
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import alexnet_jax
from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.config import AugmentConfig, Dropout, OptimizerConfig, TrainConfig
from alexnet_jax.training.eval_steps import eval_step, predict_step
from alexnet_jax.training.evaluation import evaluate as evaluate_images
from alexnet_jax.training.evaluation import evaluate_ensemble
from alexnet_jax.training.layouts import choose_layout
from alexnet_jax.training.metrics import summarize, uniform_cross_entropy
from alexnet_jax.training.optimizer import make_optimizer
from alexnet_jax.training.state import TrainState, create_train_state
from alexnet_jax.training.steps import loss_fn, train_step, train_steps, update_step
from tests.helpers.nets import tiny_config
from tests.helpers.sources import Examples
from tests.helpers.trees import assert_same

# two convolutions and one hidden dense layer, to compile fast: a step is the same for any net
_MODEL = tiny_config().model
CONFIG = tiny_config(model=dataclasses.replace(_MODEL, convs=_MODEL.convs[:2], dense=_MODEL.dense[:1]))
KEY = jax.random.key(7)
step = jax.jit(train_step, static_argnames="config")
loss = jax.jit(loss_fn, static_argnames="config")
evaluate = jax.jit(eval_step, static_argnames="config")
predict = jax.jit(predict_step, static_argnames=("config", "views"))


@pytest.fixture(scope="module")
def state() -> TrainState:
    return jax.jit(partial(create_train_state, CONFIG))(jax.random.key(0))


def at(tree, index):
    """One element of stacked trees."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def assert_close(found, want, rtol=1e-4):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), found, want)


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


def test_evaluation_ignores_padding(state, batch):
    padded = {
        "image": jnp.concatenate([batch["image"], jnp.full_like(batch["image"], 200)]),
        "label": jnp.concatenate([batch["label"], jnp.full_like(batch["label"], PADDING_LABEL)]),
    }
    plain, with_padding = (evaluate(state, item, config=CONFIG) for item in (batch, padded))
    assert float(with_padding["count"]) == 8
    assert_close(with_padding, plain)


def test_evaluate_ensemble_averages_probabilities(state, batch):
    other = state.replace(params=jax.tree.map(lambda leaf: leaf[..., ::-1], state.params))
    layout, keys = choose_layout(CONFIG, 1), range(8)
    examples = [{"image": np.asarray(batch["image"][key]), "label": np.int32(key)} for key in keys]
    found = evaluate_ensemble([(state, layout), (other, layout)], Examples(examples))
    scores = [predict(item, batch["image"], config=CONFIG) for item in (state, other)]
    mean = jnp.log((jnp.exp(scores[0]) + jnp.exp(scores[1])) / 2)
    want = summarize(mean, batch["label"])
    assert found == {name: pytest.approx(float(value), rel=1e-5) for name, value in want.items()}
    assert found["loss"] != pytest.approx(float(summarize(scores[0], batch["label"])["loss"]))


def test_ten_crop_predictions_are_probabilities_and_ignore_reflection(state):
    config = dataclasses.replace(CONFIG, augment=AugmentConfig(mean="channel"))
    images = jax.random.randint(KEY, (2, 71, 71, 3), 0, 256).astype(jnp.uint8)  # the centre is as far from each edge
    ten = predict(state, images, config=config, views="ten-crop")
    np.testing.assert_allclose(jnp.exp(ten).sum(-1), 1.0, rtol=1e-5)
    mirrored = predict(state, images[:, :, ::-1], config=config, views="ten-crop")
    np.testing.assert_allclose(ten, mirrored, rtol=1e-4)  # the ten views of a mirrored image are the same ten
    assert not np.allclose(ten, predict(state, images, config=config), rtol=1e-6)


def test_center_flip_predictions_are_mean_probabilities_and_the_views_of_a_run_are_its_default(state, batch):
    config = dataclasses.replace(CONFIG, augment=AugmentConfig(mean="channel"))
    images = jax.random.randint(KEY, (2, 71, 71, 3), 0, 256).astype(jnp.uint8)  # the centre is as far from each edge
    both = [predict(state, side, config=config) for side in (images, images[:, :, ::-1])]
    want = jnp.log((jnp.exp(both[0]) + jnp.exp(both[1])) / 2)
    np.testing.assert_allclose(predict(state, images, config=config, views="center-flip"), want, rtol=1e-4)
    flipping = dataclasses.replace(config, views="center-flip")
    np.testing.assert_allclose(predict(state, images, config=flipping), want, rtol=1e-4)
    np.testing.assert_array_equal(predict(state, images, config=flipping, views="center"), both[0])
    examples = Examples([{"image": np.asarray(image), "label": np.int32(0)} for image in images])
    for views, scores in ((None, want), ("center", both[0])):
        found = evaluate_images(state, choose_layout(flipping, 1), examples, views)
        assert found["loss"] == pytest.approx(-float(scores[:, 0].mean()), rel=1e-4)


def test_top1_and_top5_errors_of_known_logits():
    logits = jnp.eye(6, dtype=jnp.float32)[jnp.array([0, 1, 2, 3])] * 9 - jnp.arange(6, dtype=jnp.float32)[None]
    metrics = summarize(logits, jnp.array([0, 1, 5, 4]))
    # the third example's label ranks last of six, the fourth's fifth
    assert (float(metrics["top1_error"]), float(metrics["top5_error"])) == (0.5, 0.25)


def test_presets_and_configs_are_hashable():
    assert isinstance(hash(alexnet_jax.preset("quickstart")), int)
    assert isinstance(alexnet_jax.preset("quickstart"), TrainConfig)


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


@pytest.fixture
def plain(batch):
    """A run without anything random, and its batch: images have the size of the net's crop."""
    size = CONFIG.model.image_size
    config = dataclasses.replace(
        CONFIG,
        model=dataclasses.replace(CONFIG.model, dropout=Dropout(rate=0.0)),
        data=dataclasses.replace(CONFIG.data, image_size=size),
        augment=AugmentConfig(horizontal_flip=False, mean="channel", pca_colour_noise=0.0),
    )
    return config, batch | {"image": batch["image"][:, :size, :size]}


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


def test_padding_does_not_count_in_the_smoothed_loss():
    logits = jax.random.normal(KEY, (4, 6), jnp.float32)
    labels = jnp.array([1, PADDING_LABEL, 0, PADDING_LABEL])
    found = uniform_cross_entropy(logits, labels)
    assert float(found) == pytest.approx(float(-jax.nn.log_softmax(logits[::2]).mean()), rel=1e-6)


def test_the_average_follows_the_parameters_and_is_what_evaluation_uses(state, batch):
    config = dataclasses.replace(CONFIG, optimizer=OptimizerConfig(ema_decay=0.5))
    after, _ = step(state.replace(average=state.params), batch, KEY, config=config)
    factor = 2 / 11  # (1 + steps) / (10 + steps)
    want = jax.tree.map(lambda old, new: factor * old + (1 - factor) * new, state.params, after.params)
    assert_close(after.average, want)
    plain = after.replace(average=None)
    assert_close(evaluate(after, batch, config=config), evaluate(plain.replace(params=want), batch, config=config))
    assert float(evaluate(plain, batch, config=config)["loss"]) != float(evaluate(after, batch, config=config)["loss"])


def test_other_parameters_start_the_average_again(state):
    other = jax.tree.map(jnp.zeros_like, state.params)
    assert state.with_variables(other, {}).average is None
    assert_same(state.replace(average=state.params).with_variables(other, {}).average, other)


def skipping(**options):
    return dataclasses.replace(CONFIG, on_nan="skip", **options)


def assert_equal(found, want):
    jax.tree.map(np.testing.assert_array_equal, found, want)


def unusable(batch):
    """``batch`` with labels of no class, so that its loss is not a number."""
    return batch | {"label": batch["label"] + CONFIG.model.classes}


@pytest.mark.parametrize("options", [{}, {"micro_batches": 2, "optimizer": OptimizerConfig(ema_decay=0.5)}])
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
