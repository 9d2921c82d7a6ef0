import jax
import jax.numpy as jnp
import pytest

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.training.steps.metrics import summarize, uniform_cross_entropy
from tests.training.steps.compiled import KEY


def test_top1_and_top5_errors_of_known_logits():
    logits = jnp.eye(6, dtype=jnp.float32)[jnp.array([0, 1, 2, 3])] * 9 - jnp.arange(6, dtype=jnp.float32)[None]
    metrics = summarize(logits, jnp.array([0, 1, 5, 4]))
    # the third example's label ranks last of six, the fourth's fifth
    assert (float(metrics["top1_error"]), float(metrics["top5_error"])) == (0.5, 0.25)


def test_padding_does_not_count_in_the_smoothed_loss():
    logits = jax.random.normal(KEY, (4, 6), jnp.float32)
    labels = jnp.array([1, PADDING_LABEL, 0, PADDING_LABEL])
    found = uniform_cross_entropy(logits, labels)
    assert float(found) == pytest.approx(float(-jax.nn.log_softmax(logits[::2]).mean()), rel=1e-6)
