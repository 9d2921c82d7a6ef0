import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.training.optimizer import make_optimizer
from alexnet_jax.training.schedule import Rates
from tests.helpers import formulas

RATES = [0.1, 0.1, 0.1, 0.01, 0.01, 0.001]  # two drops
BIAS_RATES = [0.2] * 6


def gradients():
    rng = np.random.default_rng(0)
    return [{"fc": {"kernel": rng.standard_normal((3, 2)), "bias": rng.standard_normal(2)}} for _ in RATES]


def run(config):
    """The parameters after each step of ``make_optimizer(config)``."""
    as_float32 = lambda tree: jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), tree)  # noqa: E731
    params = as_float32({"fc": {"kernel": np.ones((3, 2)), "bias": np.ones(2)}})
    optimizer = make_optimizer(config)
    state, path = optimizer.init(params), []
    for gradient, rate, bias_rate in zip(gradients(), RATES, BIAS_RATES, strict=True):
        rates = Rates(jnp.float32(rate), jnp.float32(bias_rate))
        updates, state = optimizer.update(as_float32(gradient), state, params, rates=rates)
        params = optax.apply_updates(params, updates)
        path.append(params["fc"])
    return path


@pytest.mark.parametrize("bias_decay", [0.0, 0.01])
def test_the_paper_rule_matches_its_formula_over_two_drops_of_the_rate(bias_decay):
    path = run(OptimizerConfig(momentum=0.9, weight_decay=0.05, bias_decay=bias_decay))
    for name, rates, decay in (("kernel", RATES, 0.05), ("bias", BIAS_RATES, bias_decay)):
        pushes = [gradient["fc"][name] for gradient in gradients()]
        want = formulas.paper_sgd(np.ones(pushes[0].shape), pushes, rates, 0.9, decay)
        for found, expected in zip(path, want, strict=True):
            np.testing.assert_allclose(found[name], expected, rtol=2e-5, atol=1e-6)


def test_the_two_rules_differ_from_the_first_drop_of_the_rate_on():
    """After the drop, the velocity of the paper's rule still has the size of the old rate."""
    paper = run(OptimizerConfig(rule="paper", weight_decay=0.0))
    outside = run(OptimizerConfig(rule="optax_sgd", weight_decay=0.0))
    same = [np.allclose(a["kernel"], b["kernel"], rtol=1e-5) for a, b in zip(paper, outside, strict=True)]
    assert same == [True, True, True, False, False, False]


def test_the_optax_sgd_rule_matches_optax_sgd():
    path = run(OptimizerConfig(rule="optax_sgd", weight_decay=0.0))
    reference = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.9)
    kernel = jnp.ones((3, 2), jnp.float32)
    state = reference.init(kernel)
    for gradient, rate, found in zip(gradients(), RATES, path, strict=True):
        state.hyperparams["learning_rate"] = jnp.float32(rate)
        update, state = reference.update(jnp.asarray(gradient["fc"]["kernel"], jnp.float32), state, kernel)
        kernel = kernel + update
        np.testing.assert_allclose(found["kernel"], kernel, rtol=1e-5)
