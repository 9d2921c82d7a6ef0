"""Hyperparameters as arguments of the steps, optimizers and losses that are not the config's."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import alexnet_jax
from alexnet_jax import Hyperparameters, hyperparameters
from alexnet_jax.config import AugmentConfig, Dropout, OptimizerConfig, ScheduleConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.training.steps.eval_step import eval_step
from alexnet_jax.training.steps.metrics import cross_entropy
from alexnet_jax.training.steps.state import create_train_state
from alexnet_jax.training.steps.train_step import loss_fn, train_step, train_steps
from tests.helpers.nets import tiny_config
from tests.helpers.slow import slow
from tests.helpers.trees import assert_same

_MODEL = tiny_config().model
MODEL = dataclasses.replace(_MODEL, convs=_MODEL.convs[:2], dense=_MODEL.dense[:1])
CONFIG = tiny_config(model=MODEL)
KEY = jax.random.key(7)


def run_of(**fields):
    return dataclasses.replace(CONFIG, **fields)


def with_dropout(rate, scaled_in="test"):
    return run_of(model=dataclasses.replace(MODEL, dropout=Dropout(rate=rate, scaled_in=scaled_in)))


CONFIGS = {
    "paper": CONFIG,
    "label_smoothing": run_of(label_smoothing=0.1),
    "inverted_dropout": with_dropout(0.3, "training"),
    "colour_noise": run_of(augment=AugmentConfig(mean="channel", pca_colour_noise=0.3)),
    "optax_sgd": run_of(optimizer=OptimizerConfig(rule="optax_sgd", bias_learning_rate=0.02, bias_decay=0.001)),
    "lars": run_of(optimizer=OptimizerConfig(rule="lars", layer_decay=(("conv1", 0.1),))),
    "adamw": run_of(optimizer=OptimizerConfig(rule="optax.adamw", weight_decay=0.1)),
    "cosine": run_of(
        epochs=4, schedule=ScheduleConfig(rule="cosine", final_rate=0.003, warm_up_epochs=2.0, warm_up_rate=0.001)
    ),
}

step = jax.jit(train_step, static_argnames=("config", "optimizer", "loss"))
evaluate = jax.jit(eval_step, static_argnames="config")


def assert_close(found, want):
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-7), found, want)


def initial(config, optimizer=None):
    return create_train_state(config, jax.random.key(0), optimizer=optimizer)


def trained(config, batch, steps=3, **options):
    """The state after a few steps, and the metrics of the last one."""
    state = initial(config, options.get("optimizer"))
    for _ in range(steps):
        state, metrics = step(state, batch, KEY, config=config, **options)
    return state, metrics


@pytest.fixture
def batches(batch):
    return jax.tree.map(lambda leaf: jnp.stack([leaf, leaf[::-1], leaf]), batch)


class TestAgainstTheConfig:
    @pytest.mark.slow
    @pytest.mark.optimized  # otherwise XLA rounds differently if numbers are constants
    @pytest.mark.parametrize("name", CONFIGS)
    def test_those_of_the_config_give_the_same_bits(self, name, batch):
        config = CONFIGS[name]
        assert_same(trained(config, batch, hyperparameters=hyperparameters(config)), trained(config, batch))

    def test_those_of_the_config_change_nothing(self, batch):
        assert_close(trained(CONFIG, batch, hyperparameters=hyperparameters(CONFIG)), trained(CONFIG, batch))

    @pytest.mark.parametrize(
        ("given", "fields"),
        [
            slow({"momentum": 0.5}, {"optimizer": OptimizerConfig(momentum=0.5)}),
            slow({"weight_decay": 0.2}, {"optimizer": OptimizerConfig(weight_decay=0.2)}),
            ({"learning_rate": 0.03}, {"optimizer": OptimizerConfig(learning_rate=0.03)}),
            slow({"bias_learning_rate": 0.03}, {"optimizer": OptimizerConfig(bias_learning_rate=0.03)}),
            slow({"pca_colour_noise": 0.4}, {"augment": AugmentConfig(pca_colour_noise=0.4)}),
            slow({"dropout_rate": 0.2}, {"model": dataclasses.replace(MODEL, dropout=Dropout(rate=0.2))}),
        ],
        ids=lambda value: next(iter(value)),
    )
    def test_another_value_is_that_of_another_config(self, given, fields, batch):
        found, _ = trained(CONFIG, batch, hyperparameters=Hyperparameters(**given))
        assert_close(found, trained(run_of(**fields), batch)[0])
        changed = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), found.params, trained(CONFIG, batch)[0].params)
        assert any(jax.tree.leaves(changed))

    @pytest.mark.slow
    def test_the_decay_of_biases(self, batch):
        own, other = (run_of(optimizer=OptimizerConfig(bias_decay=decay)) for decay in (0.1, 0.3))
        found, _ = trained(own, batch, hyperparameters=Hyperparameters(bias_decay=0.3))
        assert_close(found, trained(other, batch)[0])
        assert bool(jnp.any(found.params["conv2"]["bias"] != trained(own, batch)[0].params["conv2"]["bias"]))

    @pytest.mark.slow
    def test_label_smoothing(self, batch):
        found = trained(run_of(label_smoothing=0.1), batch, hyperparameters=Hyperparameters(label_smoothing=0.3))
        assert_close(found, trained(run_of(label_smoothing=0.3), batch))

    def test_evaluation_scales_by_the_dropout_rate(self, batch):
        state = initial(CONFIG)
        found = evaluate(state, batch, config=CONFIG, hyperparameters=Hyperparameters(dropout_rate=0.1))
        assert_close(found, evaluate(state, batch, config=with_dropout(0.1)))
        assert float(found["loss"]) != float(evaluate(state, batch, config=CONFIG)["loss"])


class TestTracing:
    def test_another_value_compiles_nothing(self, batch):
        traced = []

        @jax.jit
        def counted(state, values):
            traced.append(1)
            return train_step(state, batch, KEY, config=CONFIG, hyperparameters=values)

        for rate in (0.01, 0.02, 0.5):
            counted(initial(CONFIG), hyperparameters(CONFIG).replace(learning_rate=jnp.float32(rate)))
        assert len(traced) == 1

    def test_vmap_trains_each_setting(self, batches):
        rates = jnp.array([0.001, 0.01, 0.05], jnp.float32)

        @jax.jit
        def train(rate):
            values = Hyperparameters(learning_rate=rate, dropout_rate=0.3)
            return train_steps(initial(CONFIG), batches, KEY, config=CONFIG, hyperparameters=values)[1]["loss"]

        found = jax.jit(jax.vmap(train))(rates)
        want = jnp.stack([train(rate) for rate in rates])
        np.testing.assert_allclose(found, want, rtol=1e-4)
        assert len(np.unique(np.asarray(found)[:, -1])) == 3

    @pytest.mark.parametrize(
        ("name", "rate", "size"),
        [
            ("learning_rate", 1e-5, 3e-7),
            slow("momentum", 1e-5, 0.02),
            slow("weight_decay", 0.01, 0.02),
        ],
    )
    def test_grad_gives_the_derivative_of_a_later_loss(self, name, rate, size, batch, batches):
        """At small rates, where the loss is smooth."""
        config = run_of(optimizer=OptimizerConfig(learning_rate=rate))
        own, size = getattr(hyperparameters(config), name), jnp.float32(size)

        @jax.jit
        def later_loss(value):
            values = hyperparameters(config).replace(**{name: value})
            state, _ = train_steps(initial(config), batches, KEY, config=config, hyperparameters=values)
            return loss_fn(state.params, state, batch, KEY, config=config)[0]

        want = (later_loss(own + size) - later_loss(own - size)) / (2 * size)
        assert float(jax.jit(jax.grad(later_loss))(own)) == pytest.approx(float(want), rel=0.05)
        assert abs(float(want)) > 1e-4


class TestCustom:
    @pytest.mark.slow
    def test_an_optimizer_of_optax_equals_the_rule_of_that_name(self, batch):
        config = run_of(
            optimizer=OptimizerConfig(rule="optax.adamw", learning_rate=0.003, weight_decay=0.1, bias_decay=0.1)
        )
        found, metrics = trained(CONFIG, batch, steps=2, optimizer=optax.adamw(0.003, weight_decay=0.1))
        assert_close(found.params, trained(config, batch, steps=2)[0].params)  # before the rate drops
        assert "learning_rate" not in metrics

    @pytest.mark.parametrize(
        "optimizer",
        [
            slow(optax.adafactor(0.01), id="adafactor"),
            slow(optax.lamb(0.01), id="lamb"),
            slow(optax.chain(optax.sgd(0.01), optax.contrib.reduce_on_plateau()), id="reduce_on_plateau"),
            pytest.param(
                optax.MultiSteps(optax.sgd(0.01), every_k_schedule=2).gradient_transformation(), id="MultiSteps"
            ),
        ],
    )
    def test_it_sees_whole_arrays_and_the_loss(self, optimizer, batch):
        """As a plain loop with optax does it."""
        want = initial(CONFIG)
        opt_state = optimizer.init(want.params)
        gradients_of = jax.jit(jax.grad(partial(loss_fn, config=CONFIG), has_aux=True))
        for _ in range(3):
            gradients, metrics = gradients_of(want.params, want, batch, KEY)
            with jax.numpy_dtype_promotion("standard"):
                updates, opt_state = optax.with_extra_args_support(optimizer).update(
                    gradients, opt_state, want.params, value=metrics["loss"]
                )
            want = want.replace(step=want.step + 1, params=optax.apply_updates(want.params, updates))
        found, _ = trained(CONFIG, batch, optimizer=optimizer)
        assert_close(found.params, want.params)

    def test_frozen_layers_stay(self, batch):
        config = run_of(optimizer=OptimizerConfig(frozen=("conv1",)))
        found, _ = trained(config, batch, optimizer=optax.adamw(0.01, weight_decay=0.5))
        assert_same(found.params["conv1"], initial(config).params["conv1"])
        assert bool(jnp.any(found.params["conv2"]["kernel"] != initial(config).params["conv2"]["kernel"]))

    def test_a_loss(self, batch):
        def squared(logits, labels):
            return ((logits - jax.nn.one_hot(labels, logits.shape[-1])) ** 2).mean()

        state = initial(CONFIG)
        value, metrics = jax.jit(partial(loss_fn, config=CONFIG, loss=squared))(state.params, state, batch, KEY)
        assert float(value) == float(metrics["loss"])
        found, metrics = step(state, batch, KEY, config=CONFIG, loss=squared)
        assert float(metrics["loss"]) == pytest.approx(float(value), rel=1e-6)
        gradients = jax.jit(jax.grad(partial(loss_fn, config=CONFIG, loss=squared), has_aux=True))(
            state.params, state, batch, KEY
        )[0]
        moved = found.params["conv1"]["bias"] - state.params["conv1"]["bias"]
        np.testing.assert_allclose(moved, -0.01 * gradients["conv1"]["bias"], rtol=1e-3, atol=1e-8)

    @pytest.mark.slow
    def test_the_loss_of_the_config_as_a_loss(self, batch):
        def same(logits, labels):
            return cross_entropy(logits, labels).mean()

        assert_close(trained(CONFIG, batch, loss=same)[0], trained(CONFIG, batch)[0])

    @pytest.mark.slow
    def test_train_steps_passes_them_on(self, batches):
        optimizer = optax.sgd(0.5)
        state = initial(CONFIG, optimizer)
        _, metrics = train_steps(
            state, batches, KEY, config=CONFIG, optimizer=optimizer, loss=lambda logits, _: logits.mean()
        )
        assert metrics["loss"][2] < metrics["loss"][0] - 0.1


@pytest.mark.parametrize(
    ("config", "given", "options", "message"),
    [
        (
            CONFIG,
            {"momentum": 0.5},
            {"optimizer": optax.adam(0.1)},
            "hyperparameters.momentum is given: an optimizer that is not the config's does not use it, leave it None "
            "and build it into the optimizer",
        ),
        (
            run_of(optimizer=OptimizerConfig(rule="optax.adamw")),
            {"momentum": 0.5},
            {},
            "hyperparameters.momentum is given: optax.adamw has no such argument, leave it None",
        ),
        (
            CONFIG,
            {"label_smoothing": 0.5},
            {},
            "hyperparameters.label_smoothing is given: it is 0 in the config and not part of the step, leave it None "
            "or use a config with label_smoothing above 0",
        ),
        (
            run_of(label_smoothing=0.1),
            {"label_smoothing": 0.5},
            {"loss": lambda logits, _: logits.mean()},
            "hyperparameters.label_smoothing is given: a loss that is not the config's does not use it, leave it None",
        ),
        (
            run_of(label_smoothing=0.1),
            {},
            {"loss": lambda logits, _: logits.mean()},
            "label_smoothing is 0.1: a loss that is not the config's smooths no labels, use 0",
        ),
        (
            run_of(augment=AugmentConfig(pca_colour_noise=0)),
            {"pca_colour_noise": 0.5},
            {},
            "hyperparameters.pca_colour_noise is given: it is 0 in the config and not part of the step, leave it None "
            "or use a config with augment.pca_colour_noise above 0",
        ),
        (
            run_of(model=dataclasses.replace(MODEL, dense=())),
            {"dropout_rate": 0.5},
            {},
            "hyperparameters.dropout_rate is given: this net has no dropout, leave it None",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_effect_is_refused(config, given, options, message, batch):
    state = jax.eval_shape(partial(initial, config, options.get("optimizer")))
    refused = partial(train_step, config=config, hyperparameters=Hyperparameters(**given), **options)
    with pytest.raises(UsageError) as error:
        jax.eval_shape(refused, state, batch, KEY)
    assert str(error.value) == message
    assert all(getattr(alexnet_jax.hyperparameters(config), name) is None for name in given) or options
