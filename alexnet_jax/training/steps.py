"""One step of training or evaluation, as pure functions to jit, map, scan and differentiate."""

from __future__ import annotations

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from alexnet_jax.batch import Batch
from alexnet_jax.config import TrainConfig
from alexnet_jax.net.model import AlexNet
from alexnet_jax.preprocessing.augment import preprocess, ten_crops, training_crops
from alexnet_jax.training.metrics import summarize
from alexnet_jax.training.optimizer import make_optimizer
from alexnet_jax.training.schedule import learning_rates
from alexnet_jax.training.state import TrainState

Metrics = dict[str, Float[Array, ""]]
Views = Literal["center", "ten-crop"]


def loss_fn(
    params: PyTree,
    state: TrainState,
    batch: Batch,
    key: PRNGKeyArray,
    *,
    config: TrainConfig,
    tower_axis: str | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """Mean cross-entropy in nats of ``batch`` in training, and its metrics; ``params`` stand in for the state's.

    Crops, reflections, colours and dropout come from ``key`` and ``state.step``, so one key serves a whole run.
    Frozen layers get a gradient of zero.
    """
    frozen = {name: lax.stop_gradient(params[name]) for name in config.optimizer.frozen}  # so XLA need not compute it
    augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
    images = training_crops(
        batch["image"], augment_key, state.statistics, config.augment, config.model.image_size, _noisy(state, config)
    )
    net = AlexNet(config.model, tower_axis, dtype=config.dtype)
    logits: Array = net.apply({"params": params | frozen}, images, train=True, rngs={"dropout": dropout_key})  # type: ignore[assignment]
    metrics = summarize(logits, batch["label"])
    return metrics["loss"], metrics


def _noisy(state: TrainState, config: TrainConfig) -> Bool[Array, ""] | bool:
    """Whether colours are still noisy at this step."""
    until = config.augment.pca_colour_noise_until
    return until is None or state.step < round(until * config.steps_per_epoch)


def train_step(
    state: TrainState, batch: Batch, key: PRNGKeyArray, *, config: TrainConfig, tower_axis: str | None = None
) -> tuple[TrainState, Metrics]:
    """The state after one more batch, and the metrics of that batch before the update.

    ``batch`` is ``{"image": uint8 (batch, height, width, channels), "label": int32 (batch,)}``. ``metrics`` holds
    ``loss`` in nats, ``top1_error`` and ``top5_error`` as shares, ``count`` and the kernels' ``learning_rate``.
    Inside a map over ``tower_axis`` each device holds one slice of every layer (``alexnet_jax.training.parallel``).
    """

    def local_loss(params: PyTree) -> tuple[Float[Array, ""], Metrics]:
        loss, metrics = loss_fn(params, state, batch, key, config=config, tower_axis=tower_axis)
        # Every device's loss reaches every device's kernels through the gathers, and all these gradients are summed.
        return loss if tower_axis is None else loss / lax.axis_size(tower_axis), metrics

    gradients, metrics = jax.grad(local_loss, has_aux=True)(state.params)
    rates = learning_rates(state.step, state.plateau, config)
    optimizer = make_optimizer(config.optimizer)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params, rates=rates)
    params = optax.apply_updates(state.params, updates)
    state = state.replace(step=state.step + 1, params=params, opt_state=opt_state)
    return state, metrics | {"learning_rate": rates.kernel}


def train_steps(
    state: TrainState, batches: Batch, key: PRNGKeyArray, *, config: TrainConfig, tower_axis: str | None = None
) -> tuple[TrainState, dict[str, Float[Array, " steps"]]]:
    """``train_step`` for each of ``batches``, in one ``lax.scan``: their arrays and the metrics have an axis of steps
    before the others.
    """
    return lax.scan(partial(train_step, key=key, config=config, tower_axis=tower_axis), state, batches)


def logits_step(
    state: TrainState, images: Array, *, config: TrainConfig, tower_axis: str | None = None
) -> Float[Array, "batch classes"]:
    """Logits of the centre crops of uint8 images (batch, height, width, channels) as stored."""
    crops = preprocess(images, state.statistics, config)
    return _test_logits(state, crops, config, tower_axis)


def _test_logits(state: TrainState, crops: Array, config: TrainConfig, tower_axis: str | None) -> Array:
    net = AlexNet(config.model, tower_axis, dtype=config.dtype)
    return net.apply({"params": state.params}, crops, train=False)  # type: ignore[return-value]


def predict_step(
    state: TrainState,
    images: Array,
    *,
    config: TrainConfig,
    views: Views = "center",
    tower_axis: str | None = None,
) -> Float[Array, "batch classes"]:
    """Logarithms of the probabilities of each class for uint8 images (batch, height, width, channels) as stored.

    ``views="ten-crop"`` averages the probabilities of ten crops (paper, section 4.1).
    """
    if views == "center":
        return jax.nn.log_softmax(logits_step(state, images, config=config, tower_axis=tower_axis))

    def log_probabilities(crops: Array) -> Array:
        return jax.nn.log_softmax(_test_logits(state, crops, config, tower_axis))

    crops = ten_crops(images, state.statistics, config.augment, config.model.image_size)
    return jax.nn.logsumexp(lax.map(log_probabilities, crops), axis=0) - jnp.log(crops.shape[0])


def eval_step(
    state: TrainState,
    batch: Batch,
    *,
    config: TrainConfig,
    views: Views = "center",
    tower_axis: str | None = None,
) -> Metrics:
    """``loss`` in nats, ``top1_error`` and ``top5_error`` as shares, over the ``count`` examples of ``batch``.

    Examples with the label -1 fill up a last batch and do not count.
    """
    scores = predict_step(state, batch["image"], config=config, views=views, tower_axis=tower_axis)
    return summarize(scores, batch["label"])
