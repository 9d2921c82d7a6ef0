"""The exponential moving average of the weights."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree


def update_average(average: PyTree, layers: PyTree, steps: Int[Array, ""], decay: float) -> PyTree:
    """The average after one more step: ``average <- d * average + (1 - d) * layers``.

    ``d`` is ``decay`` or, in the first steps, the smaller ``(1 + steps) / (10 + steps)``, so that the initial weights
    do not dominate (``tf.train.ExponentialMovingAverage``).

    Args:
        average: the average before the step.
        layers: the parameters after it, and the running statistics of batch normalisation.
        steps: the number of steps taken, this one included.
        decay: the decay, at least 0 and below 1.
    """
    count = steps.astype(jnp.float32)
    rate = 1 - jnp.minimum(decay, (1 + count) / (10 + count))
    return jax.tree.map(lambda mean, new: mean + rate * (new - mean), average, layers)
