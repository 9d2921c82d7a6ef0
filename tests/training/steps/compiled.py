"""The steps of a small net, compiled, and comparisons of their results."""

import dataclasses

import jax
import numpy as np

from alexnet_jax.training.steps.eval_step import eval_step, predict_step
from alexnet_jax.training.steps.train_step import loss_fn, train_step
from tests.helpers.nets import tiny_config

# two convolutions and one hidden dense layer, to compile fast: a step is the same for any net
_MODEL = tiny_config().model
CONFIG = tiny_config(model=dataclasses.replace(_MODEL, convs=_MODEL.convs[:2], dense=_MODEL.dense[:1]))
KEY = jax.random.key(7)
step = jax.jit(train_step, static_argnames="config")
loss = jax.jit(loss_fn, static_argnames="config")
evaluate = jax.jit(eval_step, static_argnames="config")
predict = jax.jit(predict_step, static_argnames=("config", "views"))


def at(tree, index):
    """One element of stacked trees."""
    return jax.tree.map(lambda leaf: leaf[index], tree)


def assert_close(found, want, rtol=1e-4):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-6), found, want)
