"""One step of training or evaluation, as pure functions to jit, map, scan and differentiate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal, get_args

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from alexnet_jax.batch import Batch, check_labels, images_and_labels, is_kept, kept_and_labels
from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import UsageError, unknown_name
from alexnet_jax.net.model import AlexNet
from alexnet_jax.preprocessing.augment import (
    both_center_crops,
    check_stored_images,
    preprocess,
    random_flips,
    ten_crops,
    training_crops,
)
from alexnet_jax.training.accumulation import accumulate
from alexnet_jax.training.metrics import Metrics, summarize, uniform_cross_entropy
from alexnet_jax.training.moving_average import update_average
from alexnet_jax.training.optimizer import make_optimizer
from alexnet_jax.training.schedule import learning_rates
from alexnet_jax.training.state import TrainState

Views = Literal["center", "ten-crop"]
"""The crops that an image is classified from: the centre crop, or ten crops (paper, section 4.1)."""


def loss_fn(
    params: PyTree,
    state: TrainState,
    batch: Batch,
    key: PRNGKeyArray,
    *,
    config: TrainConfig,
    tower_axis: str | None = None,
) -> tuple[Float[Array, ""], Metrics]:
    """The loss of a batch in training, with dropout and random crops.

    The loss is the mean cross-entropy with the labels or, under label smoothing e, (1 - e) times it plus e times the
    cross-entropy with a uniform distribution. Frozen layers get a gradient of zero. Batch normalisation uses the
    statistics of the batch.

    Args:
        params: the parameters, which replace those of ``state``.
        state: provides the step and the statistics.
        batch: ``{"image": uint8 (batch, height, width, channels), "label": int32 (batch,)}``, the images as stored.
        key: the run's random key. Crops, flips, colour noise and dropout depend on it and ``state.step``.
        config: the run.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.

    Returns:
        The loss in nats, and the metrics ``loss`` (nats, without label smoothing), ``top1_error`` and ``top5_error``
        (fractions) and ``count``.
    """
    loss, (metrics, _) = _loss_and_batch_stats(params, state, batch, key, config=config, tower_axis=tower_axis)
    return loss, metrics


def _loss_and_batch_stats(
    params: PyTree, state: TrainState, batch: Batch, key: PRNGKeyArray, *, config: TrainConfig, tower_axis: str | None
) -> tuple[Float[Array, ""], tuple[Metrics, PyTree]]:
    """``loss_fn``, with the running statistics after the batch."""
    # so that XLA does not compute the gradients of frozen layers
    frozen = {name: lax.stop_gradient(params[name]) for name in config.optimizer.frozen}
    augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
    inputs, labels = _training_inputs(batch, augment_key, state, config)
    net = AlexNet(config.model, tower_axis, dtype=config.dtype, first_layer=_first_layer(batch, config))
    variables = {"params": params | frozen, "batch_stats": state.batch_stats}
    rngs, mutable = {"dropout": dropout_key}, ["batch_stats"]
    logits, changed = net.apply(variables, inputs, train=True, rngs=rngs, mutable=mutable)
    metrics, batch_stats = summarize(logits, labels), changed.get("batch_stats", {})
    if config.label_smoothing == 0:
        return metrics["loss"], (metrics, batch_stats)
    uniform = uniform_cross_entropy(logits, labels)
    return (1 - config.label_smoothing) * metrics["loss"] + config.label_smoothing * uniform, (metrics, batch_stats)


def _training_inputs(batch: Batch, key: PRNGKeyArray, state: TrainState, config: TrainConfig) -> tuple[Array, Array]:
    """Random crops or, of kept outputs, those of the images or of their reflections; and the labels."""
    if is_kept(batch):
        views, labels = kept_and_labels(batch)
        check_labels(labels, len(views))
        flips = random_flips(key, len(views), config.augment).astype(jnp.int32)
        return jnp.take_along_axis(views, jnp.expand_dims(flips, range(1, views.ndim)), axis=1)[:, 0], labels
    stored, labels = images_and_labels(batch)
    check_stored_images(stored, state.statistics, config)
    check_labels(labels, len(stored))
    size, is_noisy = config.model.image_size, _is_noisy(state, config)
    return training_crops(stored, key, state.statistics, config.augment, size, is_noisy), labels


def _first_layer(batch: Batch, config: TrainConfig) -> str | None:
    """The layer that reads the images or kept outputs of ``batch``. None for the first layer of the net."""
    return config.first_trained_layer if is_kept(batch) else None


def kept_outputs(
    state: TrainState, images: Array, *, config: TrainConfig, training: bool, tower_axis: str | None = None
) -> Float[Array, "batch views *size channels"]:
    """The outputs of ``config.kept_layer``, which a batch can hold in place of images.

    Args:
        state: provides the parameters of the frozen layers and the statistics.
        images: stored images, uint8 (batch, height, width, channels).
        config: the run.
        training: whether the images are flipped in training: those of the reflections are then a second view.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.

    Returns:
        The outputs, float32, of the centre crop and, if ``training`` flips, of its reflection.

    Raises:
        UsageError: ``images`` have another shape or dtype.
    """
    check_stored_images(images, state.statistics, config)
    augment = replace(config.augment, horizontal_flip=config.augment.horizontal_flip and training)
    net = AlexNet(config.model, tower_axis, dtype=config.dtype, last_layer=config.kept_layer)
    variables = {"params": state.params, "batch_stats": state.batch_stats}

    def outputs_of(crops: Array) -> Array:
        outputs: Array = net.apply(variables, crops, train=False)  # type: ignore[assignment]
        if tower_axis is not None:
            outputs = lax.all_gather(outputs, tower_axis, axis=outputs.ndim - 1, tiled=True)
        return outputs.astype(jnp.float32)

    views = both_center_crops(images, state.statistics, augment, config.model.image_size)
    return jnp.moveaxis(lax.map(outputs_of, views), 0, 1)


def _is_noisy(state: TrainState, config: TrainConfig) -> Bool[Array, ""] | bool:
    """Whether the next step adds colour noise."""
    until = config.augment.pca_colour_noise_until
    return until is None or state.step < config.step_of(until)


def train_step(
    state: TrainState, batch: Batch, key: PRNGKeyArray, *, config: TrainConfig, tower_axis: str | None = None
) -> tuple[TrainState, Metrics]:
    """One step of stochastic gradient descent (paper, section 5).

    Args:
        state: the state before the step.
        batch: ``{"image": uint8 (batch, height, width, channels), "label": int32 (batch,)}``, the images as stored.
        key: the run's random key, the same for every step.
        config: the run.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.

    Returns:
        The state after the step, and the metrics of the batch before the update: ``loss`` (nats), ``top1_error`` and
        ``top5_error`` (fractions), ``count``, and the kernels' ``learning_rate``.
    """

    def gradients_of(batch: Batch, key: PRNGKeyArray) -> tuple[PyTree, tuple[Metrics, PyTree]]:
        def local_loss(params: PyTree) -> tuple[Float[Array, ""], tuple[Metrics, PyTree]]:
            loss, others = _loss_and_batch_stats(params, state, batch, key, config=config, tower_axis=tower_axis)
            # The transpose of a gather sums the gradients of the losses of all devices.
            return loss if tower_axis is None else loss / lax.axis_size(tower_axis), others

        return jax.grad(local_loss, has_aux=True)(state.params)

    gradients, (metrics, batch_stats) = accumulate(gradients_of, batch, key, config.micro_batches)
    rates = learning_rates(state.step, state.plateau, config)
    optimizer = make_optimizer(config.optimizer, tower_axis)
    updates, opt_state = optimizer.update(gradients, state.opt_state, state.params, rates=rates)
    params = optax.apply_updates(state.params, updates)
    average, decay = state.average, config.optimizer.ema_decay
    if decay is not None:
        average = update_average(average, params | batch_stats, state.step + 1, decay)
    state = state.replace(
        step=state.step + 1, params=params, batch_stats=batch_stats, opt_state=opt_state, average=average
    )
    return state, metrics | {"learning_rate": rates.kernel}


def train_steps(
    state: TrainState, batches: Batch, key: PRNGKeyArray, *, config: TrainConfig, tower_axis: str | None = None
) -> tuple[TrainState, dict[str, Float[Array, " steps"]]]:
    """Several steps in one ``lax.scan``.

    Args:
        state: the state before the first step.
        batches: the batches of ``train_step``, with an axis of steps before the others.
        key: the run's random key.
        config: the run.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.

    Returns:
        The state after the last step, and the metrics of ``train_step``, each with an axis of steps.
    """
    return lax.scan(partial(train_step, key=key, config=config, tower_axis=tower_axis), state, batches)


def logits_step(
    state: TrainState, images: Array, *, config: TrainConfig, tower_axis: str | None = None
) -> Float[Array, "batch classes"]:
    """The logits of the centre crops.

    Args:
        state: provides the parameters and the statistics.
        images: stored images, uint8 (batch, height, width, channels).
        config: the run.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.
    """
    crops = preprocess(images, state.statistics, config)
    return _test_logits(state, crops, config, tower_axis)


def _test_logits(
    state: TrainState, inputs: Array, config: TrainConfig, tower_axis: str | None, first_layer: str | None = None
) -> Array:
    net = AlexNet(config.model, tower_axis, dtype=config.dtype, first_layer=first_layer)
    return net.apply(state.inference_variables, inputs, train=False)  # type: ignore[return-value]


def predict_step(
    state: TrainState,
    images: Array,
    *,
    config: TrainConfig,
    views: Views = "center",
    tower_axis: str | None = None,
) -> Float[Array, "batch classes"]:
    """The log-probabilities of the classes.

    Args:
        state: provides the parameters and the statistics.
        images: stored images, uint8 (batch, height, width, channels).
        config: the run.
        views: ``center`` for the centre crop, or ``ten-crop`` for the mean of the probabilities of ten crops (paper,
            section 4.1).
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.

    Returns:
        float32 (batch, classes), in nats.

    Raises:
        UsageError: ``images`` have another shape or dtype, or ``views`` has another value.
    """
    check_stored_images(images, state.statistics, config)
    if views not in get_args(Views):
        raise unknown_name("views", views, get_args(Views))
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
    """The errors on a batch, without dropout and with the running statistics of batch normalisation.

    Args:
        state: provides the parameters and the statistics.
        batch: ``{"image": uint8 (batch, height, width, channels), "label": int32 (batch,)}``, the images as stored.
            Examples with the label -1 do not count.
        config: the run.
        views: as in ``predict_step``.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.

    Returns:
        ``loss`` (nats), ``top1_error`` and ``top5_error`` (fractions), and the ``count`` of examples.

    Raises:
        UsageError: the images or labels have another shape or dtype, or ``views`` has another value.
    """
    if is_kept(batch):
        if views != "center":
            raise UsageError(f"views is {views!r}: use 'center' for a batch of kept outputs, or a batch of images")
        kept, labels = kept_and_labels(batch)
        logits = _test_logits(state, kept[:, 0], config, tower_axis, _first_layer(batch, config))
        scores = jax.nn.log_softmax(logits)
    else:
        images, labels = images_and_labels(batch)
        scores = predict_step(state, images, config=config, views=views, tower_axis=tower_axis)
    check_labels(labels, len(scores))
    return summarize(scores, labels)


def all_finite(state: TrainState, *, config: TrainConfig, tower_axis: str | None = None) -> Bool[Array, ""]:
    """Whether a state holds only finite numbers, apart from ``plateau``, whose best error starts as infinity.

    Args:
        state: the state.
        config: the run. It makes no difference.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.
    """
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(state.replace(plateau=None))]).all()
    return finite if tower_axis is None else lax.pmin(finite.astype(jnp.int32), tower_axis) == 1
