import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.training.optimizer.norms import clip_by_global_norm
from alexnet_jax.training.optimizer.rules import make_optimizer
from alexnet_jax.training.optimizer.schedule import Rates
from tests.helpers import formulas
from tests.training.optimizer.six_updates import BIAS_RATES, RATES, as_float32, gradients, initial, run


def assert_path(found, formula, rtol=2e-5):
    """Compares every array of ``found`` with ``formula(initial array, its gradients, its rates, its name)``."""
    for layer, arrays in initial().items():
        for name, array in arrays.items():
            pushes = [gradient[layer][name] for gradient in gradients()]
            want = formula(array, pushes, BIAS_RATES if name == "bias" else RATES, name=name)
            for params, expected in zip(found, want, strict=True):
                np.testing.assert_allclose(params[layer][name], expected, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize("bias_decay", [0.0, 0.01])
def test_the_paper_rule_matches_its_formula_over_two_drops_of_the_rate(bias_decay):
    path = run(OptimizerConfig(momentum=0.9, weight_decay=0.05, bias_decay=bias_decay))
    decays = {"kernel": 0.05, "bias": bias_decay}
    assert_path(path, lambda w, gradients, rates, name: formulas.paper_sgd(w, gradients, rates, 0.9, decays[name]))


def test_layers_can_have_their_own_weight_decay():
    config = OptimizerConfig(weight_decay=0.05, bias_decay=0.0, layer_decay=(("conv1", 0.0), ("fc2", 0.3)))
    params = {
        name: {"kernel": jnp.full((2, 2), 2.0, jnp.float32), "bias": jnp.ones(2, jnp.float32)}
        for name in ("conv1", "fc2", "fc3")
    }
    optimizer = make_optimizer(config)
    zero = jax.tree.map(jnp.zeros_like, params)
    updates, _ = optimizer.update(zero, optimizer.init(params), params, rates=Rates(jnp.float32(1), jnp.float32(1)))
    assert [float(updates[name]["kernel"][0, 0]) for name in params] == pytest.approx([0.0, -0.6, -0.1])
    assert not any(np.any(updates[name]["bias"]) for name in params)


def test_the_two_rules_differ_from_the_first_drop_of_the_rate_on():
    """After the drop, the velocity of the paper's rule still has the size of the old rate."""
    paper = run(OptimizerConfig(rule="paper", weight_decay=0.0))
    outside = run(OptimizerConfig(rule="optax_sgd", weight_decay=0.0))
    same = [np.allclose(a["fc1"]["kernel"], b["fc1"]["kernel"], rtol=1e-5) for a, b in zip(paper, outside, strict=True)]
    assert same == [True, True, True, False, False, False]


def test_the_optax_sgd_rule_matches_optax_sgd():
    path = run(OptimizerConfig(rule="optax_sgd", weight_decay=0.0))
    reference = optax.inject_hyperparams(optax.sgd)(learning_rate=0.1, momentum=0.9)
    kernel = jnp.ones((3, 2), jnp.float32)
    state = reference.init(kernel)
    for gradient, rate, found in zip(gradients(), RATES, path, strict=True):
        state.hyperparams["learning_rate"] = jnp.float32(rate)
        update, state = reference.update(jnp.asarray(gradient["fc1"]["kernel"], jnp.float32), state, kernel)
        kernel = kernel + update
        np.testing.assert_allclose(found["fc1"]["kernel"], kernel, rtol=1e-5)


def test_nesterov_momentum_matches_its_formula_in_both_rules():
    inside = run(OptimizerConfig(weight_decay=0.0, nesterov=True))
    assert_path(inside, lambda w, gradients, rates, name: formulas.nesterov_sgd(w, gradients, rates, 0.9))
    outside = run(OptimizerConfig(rule="optax_sgd", weight_decay=0.0, nesterov=True))
    same = [
        np.allclose(a["fc1"]["kernel"], b["fc1"]["kernel"], rtol=1e-5) for a, b in zip(inside, outside, strict=True)
    ]
    assert same == [True, True, True, False, False, False]


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("bias_decay", [0.0, 0.01])
def test_lars_matches_its_formula_with_norms_of_whole_arrays(devices, bias_decay):
    """The kernel of fc2 begins at zero, and the gradient of its bias is zero: their factors are 1."""
    path = run(OptimizerConfig(rule="lars", weight_decay=0.05, bias_decay=bias_decay, lars_trust=0.02), devices)
    decays = {"kernel": 0.05, "bias": bias_decay}
    assert_path(path, lambda w, gradients, rates, name: formulas.lars_sgd(w, gradients, rates, 0.9, decays[name], 0.02))


@pytest.mark.parametrize("devices", [1, 2])
def test_clipping_scales_all_gradients_by_one_factor(devices):
    limit = 3.0
    norms = [np.sqrt(sum((leaf**2).sum() for leaf in jax.tree.leaves(tree))) for tree in gradients()]
    assert min(norms) < limit < max(norms)
    factors = [min(1, limit / norm) for norm in norms]
    path = run(OptimizerConfig(weight_decay=0.05, clip_norm=limit), devices)

    def formula(weights, pushes, rates, name):
        clipped = [factor * push for factor, push in zip(factors, pushes, strict=True)]
        return formulas.paper_sgd(weights, clipped, rates, 0.9, 0.05 if name == "kernel" else 0.0)

    assert_path(path, formula)


def test_clipping_matches_optax():
    tree = as_float32(gradients()[0])
    for limit in (0.5, 100.0):
        found, _ = clip_by_global_norm(limit).update(tree, optax.EmptyState())
        want, _ = optax.clip_by_global_norm(limit).update(tree, optax.EmptyState())
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), found, want)


def test_a_gradient_of_zero_is_not_clipped_and_has_derivatives():
    zeros = jnp.zeros((2, 3), jnp.float32)
    clip = clip_by_global_norm(1.0)
    np.testing.assert_array_equal(clip.update(zeros, optax.EmptyState())[0], zeros)
    assert np.isfinite(jax.grad(lambda leaf: clip.update(leaf, optax.EmptyState())[0].sum())(zeros)).all()
