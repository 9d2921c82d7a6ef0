import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.training.steps.moving_average import update_average
from alexnet_jax.training.steps.state import create_train_state
from tests.helpers.nets import tiny_config
from tests.helpers.trees import assert_same
from tests.training.steps.compiled import CONFIG, KEY, assert_close, evaluate, step


@pytest.mark.parametrize("decay", [0.3, 0.999])
def test_average_matches_its_formula(decay):
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((6, 3, 2))
    found = {"fc8": jnp.asarray(weights[0], jnp.float32)}
    want = weights[0]
    for steps in range(1, 6):
        params = {"fc8": jnp.asarray(weights[steps], jnp.float32)}
        found = update_average(found, params, jnp.array(steps), decay)
        factor = min(decay, (1 + steps) / (10 + steps))
        want = factor * want + (1 - factor) * weights[steps]
        np.testing.assert_allclose(found["fc8"], want, rtol=1e-5, atol=1e-6)


def test_a_state_has_an_average_only_if_its_config_does():
    config = tiny_config()
    state = jax.eval_shape(lambda key: create_train_state(config, key), jax.random.key(0))
    assert state.average is None
    assert state.inference_params is state.params


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
