"""Logits, predictions and errors of a batch, as pure functions. ``train_step.py`` has those of training."""

from __future__ import annotations

from typing import get_args

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from alexnet_jax.batch import Batch, check_labels, images_and_labels, is_kept, kept_and_labels
from alexnet_jax.config import TrainConfig, Views
from alexnet_jax.errors import UsageError, unknown_name
from alexnet_jax.net.model import AlexNet
from alexnet_jax.preprocessing.augment import check_stored_images, evaluation_crops, preprocess
from alexnet_jax.training.optimizer.hyperparameters import Hyperparameters, numbers_of
from alexnet_jax.training.steps.metrics import Metrics, summarize
from alexnet_jax.training.steps.state import TrainState


def logits_step(
    state: TrainState,
    images: Array,
    *,
    config: TrainConfig,
    tower_axis: str | None = None,
    hyperparameters: Hyperparameters | None = None,
) -> Float[Array, "batch classes"]:
    """The logits of the centre crops.

    Args:
        state: provides the parameters and the statistics.
        images: stored images, uint8 (batch, height, width, channels).
        config: the run.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.
        hyperparameters: numbers that replace those of ``config``. Only ``dropout_rate`` has an effect: the factor of
            activations where ``config.model.dropout`` is scaled at test time.
    """
    crops = preprocess(images, state.statistics, config)
    return _logits(_net(config, tower_axis, hyperparameters), state, crops)


def _net(
    config: TrainConfig, tower_axis: str | None, hyperparameters: Hyperparameters | None, first_layer: str | None = None
) -> AlexNet:
    rate = numbers_of(config, hyperparameters).dropout_rate
    return AlexNet(config.model, tower_axis, dtype=config.dtype, first_layer=first_layer, dropout_rate=rate)


def _logits(net: AlexNet, state: TrainState, inputs: Array) -> Array:
    return net.apply(state.inference_variables, inputs, train=False)  # type: ignore[return-value]


def predict_step(
    state: TrainState,
    images: Array,
    *,
    config: TrainConfig,
    views: Views | None = None,
    tower_axis: str | None = None,
    hyperparameters: Hyperparameters | None = None,
) -> Float[Array, "batch classes"]:
    """The log-probabilities of the classes.

    Args:
        state: provides the parameters and the statistics.
        images: stored images, uint8 (batch, height, width, channels).
        config: the run.
        views: the crops whose probabilities are averaged: ``center``, ``center-flip`` for the centre crop and its
            reflection, or ``ten-crop`` (paper, section 4.1). None for ``config.views``.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.
        hyperparameters: as in ``eval_step``.

    Returns:
        float32 (batch, classes), in nats.

    Raises:
        UsageError: ``images`` have another shape or dtype, or ``views`` has another value.
    """
    check_stored_images(images, state.statistics, config)
    views = config.views if views is None else views
    if views not in get_args(Views):
        raise unknown_name("views", views, get_args(Views))
    if views == "center":
        logits = logits_step(state, images, config=config, tower_axis=tower_axis, hyperparameters=hyperparameters)
        return jax.nn.log_softmax(logits)
    crops = evaluation_crops(images, state.statistics, config.augment, config.model.image_size, views)
    return _mean_log_probabilities(_net(config, tower_axis, hyperparameters), state, crops)


def _mean_log_probabilities(
    net: AlexNet, state: TrainState, views: Float[Array, "views batch *size channels"]
) -> Float[Array, "batch classes"]:
    """The logarithms of the mean probabilities of several views."""

    def log_probabilities(inputs: Array) -> Array:
        return jax.nn.log_softmax(_logits(net, state, inputs))

    return jax.nn.logsumexp(lax.map(log_probabilities, views), axis=0) - jnp.log(views.shape[0])


def eval_step(
    state: TrainState,
    batch: Batch,
    *,
    config: TrainConfig,
    views: Views | None = None,
    tower_axis: str | None = None,
    hyperparameters: Hyperparameters | None = None,
) -> Metrics:
    """The errors on a batch, without dropout and with the running statistics of batch normalisation.

    Args:
        state: provides the parameters and the statistics.
        batch: ``{"image": uint8 (batch, height, width, channels), "label": int32 (batch,)}``, the images as stored.
            Examples with the label -1 do not count.
        config: the run.
        views: as in ``predict_step``. Kept outputs are those of ``config.views``.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.
        hyperparameters: numbers that replace those of ``config``. Only ``dropout_rate`` has an effect: the factor of
            activations where ``config.model.dropout`` is scaled at test time.

    Returns:
        ``loss`` (nats), ``top1_error`` and ``top5_error`` (fractions), and the ``count`` of examples.

    Raises:
        UsageError: the images or labels have another shape or dtype, ``views`` has another value, or
            ``hyperparameters`` has a field that the run does not use.
    """
    if is_kept(batch):
        if views not in (None, config.views):
            remedy = f"use {config.views!r} for a batch of kept outputs, or a batch of images"
            raise UsageError(f"views is {views!r}: {remedy}")
        kept, labels = kept_and_labels(batch)
        net = _net(config, tower_axis, hyperparameters, first_layer_of(batch, config))
        if kept.shape[1] == 1:
            scores = jax.nn.log_softmax(_logits(net, state, kept[:, 0]))
        else:
            scores = _mean_log_probabilities(net, state, jnp.moveaxis(kept, 1, 0))
    else:
        images, labels = images_and_labels(batch)
        scores = predict_step(
            state, images, config=config, views=views, tower_axis=tower_axis, hyperparameters=hyperparameters
        )
    check_labels(labels, len(scores))
    return summarize(scores, labels)


def kept_outputs(
    state: TrainState, images: Array, *, config: TrainConfig, training: bool, tower_axis: str | None = None
) -> Float[Array, "batch views *size channels"]:
    """The outputs of ``config.kept_layer``, which a batch can hold in place of images.

    Args:
        state: provides the parameters of the frozen layers and the statistics.
        images: stored images, uint8 (batch, height, width, channels).
        config: the run.
        training: whether the outputs are for training, which may flip the images, or for evaluation.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.

    Returns:
        The outputs, float32, of the crops of ``config.views``. In training, those of the centre crop and, if training
        flips images, of its reflection.

    Raises:
        UsageError: ``images`` have another shape or dtype.
    """
    check_stored_images(images, state.statistics, config)
    net = AlexNet(config.model, tower_axis, dtype=config.dtype, last_layer=config.kept_layer)
    variables = {"params": state.params, "batch_stats": state.batch_stats}

    def outputs_of(crops: Array) -> Array:
        outputs: Array = net.apply(variables, crops, train=False)  # type: ignore[assignment]
        if tower_axis is not None:
            outputs = lax.all_gather(outputs, tower_axis, axis=outputs.ndim - 1, tiled=True)
        return outputs.astype(jnp.float32)

    views = kept_views(config, training)
    crops = evaluation_crops(images, state.statistics, config.augment, config.model.image_size, views)
    return jnp.moveaxis(lax.map(outputs_of, crops), 0, 1)


def kept_views(config: TrainConfig, training: bool) -> Views:
    """The crops whose outputs ``kept_outputs`` computes, for training or for evaluation."""
    if not training:
        return config.views
    return "center-flip" if config.augment.horizontal_flip else "center"


def first_layer_of(batch: Batch, config: TrainConfig) -> str | None:
    """The layer that reads the images or kept outputs of ``batch``. None for the first layer of the net."""
    return config.first_trained_layer if is_kept(batch) else None
