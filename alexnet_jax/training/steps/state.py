"""The state of training, as one tree of arrays."""

from __future__ import annotations

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from alexnet_jax.config import TrainConfig
from alexnet_jax.net.model import AlexNet
from alexnet_jax.ops.backends import PLAIN, use_forms
from alexnet_jax.preprocessing.statistics import Statistics, published_statistics
from alexnet_jax.training.optimizer.rules import make_optimizer
from alexnet_jax.training.optimizer.schedule import Plateau


class TrainState(flax.struct.PyTreeNode):
    """A run after some number of steps.

    Attributes:
        step: the number of steps taken.
        params: ``{layer: {"kernel", "bias"}}``, float32. Kernels are (height, width, in, out) and (in, out).
        opt_state: the state of the optimizer (``make_optimizer``), the velocities of ``params``.
        plateau: the state of the learning-rate rule "plateau".
        statistics: the mean and colour statistics of the data set. They are not trained.
        average: the moving average of ``params`` and ``batch_stats``, in one tree by layer, or None if the run keeps
            none.
        batch_stats: ``{layer: {"mean", "var"}}``, float32, the running statistics of batch normalisation. Empty for a
            net without it.
    """

    step: Int[Array, ""]
    params: PyTree
    opt_state: optax.OptState
    plateau: Plateau
    statistics: Statistics
    average: PyTree | None = None
    batch_stats: PyTree = flax.struct.field(default_factory=dict)

    @property
    def inference_params(self) -> PyTree:
        """The parameters to evaluate and export: ``average``, or ``params`` if the run keeps no average."""
        return self.inference_variables["params"]

    @property
    def inference_variables(self) -> dict[str, PyTree]:
        """The collections ``params`` and ``batch_stats`` of ``AlexNet`` to evaluate and export."""
        variables = {"params": self.params, "batch_stats": self.batch_stats}
        if self.average is None:
            return variables
        return {name: {layer: self.average[layer] for layer in layers} for name, layers in variables.items()}

    def with_variables(self, params: PyTree, batch_stats: PyTree) -> TrainState:
        """The state with other parameters and running statistics, at which the average starts again."""
        average = None if self.average is None else jax.tree.map(jnp.copy, params | batch_stats)
        return self.replace(params=params, batch_stats=batch_stats, average=average)


def create_train_state(
    config: TrainConfig,
    key: PRNGKeyArray,
    statistics: Statistics | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> TrainState:
    """Creates the state before the first step.

    Args:
        config: the run.
        key: the random key of the initial weights (paper, section 5).
        statistics: the statistics of the data set. None uses the published mean colour and covariance of ImageNet.
        optimizer: the optimizer of ``train_step``, if it is not that of ``config``.

    Returns:
        The state, with step 0 and velocities of zero. The average starts at the initial weights.

    Raises:
        UsageError: ``statistics`` is None, and no statistics are published for this number of channels.
    """
    model = config.model
    images = jnp.zeros((1, model.image_size, model.image_size, model.channels), jnp.float32)
    with use_forms(PLAIN):  # the outputs do not matter, and one form of each layer is traced faster than all
        variables = AlexNet(model).init(key, images)
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        opt_state=(optimizer or make_optimizer(config.optimizer)).init(params),
        plateau=Plateau.start(),
        statistics=published_statistics(model.channels) if statistics is None else statistics,
        average=None if config.optimizer.ema_decay is None else jax.tree.map(jnp.copy, params | batch_stats),
        batch_stats=batch_stats,
    )


def abstract_train_state(config: TrainConfig, optimizer: optax.GradientTransformation | None = None) -> TrainState:
    """The shapes and dtypes of a state of ``config``, as ``jax.ShapeDtypeStruct``. Restoring a checkpoint needs them.

    The mean is per pixel if ``config.augment.mean`` is "image", else per channel.
    """
    # the key is made inside, so that JAX's backend does not start
    state = jax.eval_shape(lambda: create_train_state(config, jax.random.key(0), optimizer=optimizer))
    channels, size = config.model.channels, config.data.image_size
    mean = (size, size, channels) if config.augment.mean == "image" else (channels,)
    return state.replace(statistics=state.statistics.replace(mean=jax.ShapeDtypeStruct(mean, np.float32)))
