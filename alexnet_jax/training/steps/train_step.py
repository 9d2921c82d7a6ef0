"""One step of training, as pure functions to jit, map, scan and differentiate. ``eval_step.py`` has evaluation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from alexnet_jax.batch import Batch, check_labels, images_and_labels, is_kept, kept_and_labels
from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.net.model import AlexNet
from alexnet_jax.preprocessing.augment import check_stored_images, random_flips, training_crops
from alexnet_jax.training.optimizer.hyperparameters import Hyperparameters, numbers_of
from alexnet_jax.training.optimizer.rules import make_optimizer
from alexnet_jax.training.optimizer.schedule import learning_rates
from alexnet_jax.training.steps.accumulation import accumulate
from alexnet_jax.training.steps.eval_step import first_layer_of
from alexnet_jax.training.steps.finite import tree_is_finite
from alexnet_jax.training.steps.metrics import Metrics, summarize, uniform_cross_entropy
from alexnet_jax.training.steps.moving_average import update_average
from alexnet_jax.training.steps.state import TrainState

Loss = Callable[[Float[Array, "batch classes"], Int[Array, " batch"]], Float[Array, ""]]
"""A function of float32 logits and int32 labels."""


def loss_fn(
    params: PyTree,
    state: TrainState,
    batch: Batch,
    key: PRNGKeyArray,
    *,
    config: TrainConfig,
    tower_axis: str | None = None,
    hyperparameters: Hyperparameters | None = None,
    loss: Loss | None = None,
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
        hyperparameters: numbers that replace those of ``config``. They may be traced. None keeps all.
        loss: a function of logits and labels that replaces the loss of ``config``, with a scalar as its result.

    Returns:
        The loss in nats, and the metrics ``loss`` (nats, without label smoothing; the value of ``loss`` if it is
        given), ``top1_error`` and ``top5_error`` (fractions) and ``count``.

    Raises:
        UsageError: ``hyperparameters`` has a field that is not used, or ``loss`` and label smoothing are both given.
    """
    value, (metrics, _) = _loss_and_batch_stats(
        params, state, batch, key, config=config, tower_axis=tower_axis, hyperparameters=hyperparameters, loss=loss
    )
    return value, metrics


def _loss_and_batch_stats(
    params: PyTree,
    state: TrainState,
    batch: Batch,
    key: PRNGKeyArray,
    *,
    config: TrainConfig,
    tower_axis: str | None,
    hyperparameters: Hyperparameters | None,
    loss: Loss | None,
) -> tuple[Float[Array, ""], tuple[Metrics, PyTree]]:
    """``loss_fn``, with the running statistics after the batch."""
    # so that XLA does not compute the gradients of frozen layers
    frozen = {name: lax.stop_gradient(params[name]) for name in config.optimizer.frozen}
    augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
    numbers = numbers_of(config, hyperparameters, custom=() if loss is None else ("loss",))
    inputs, labels = _training_inputs(batch, augment_key, state, config, numbers)
    net = AlexNet(
        config.model,
        tower_axis,
        dtype=config.dtype,
        first_layer=first_layer_of(batch, config),
        dropout_rate=numbers.dropout_rate,
    )
    variables = {"params": params | frozen, "batch_stats": state.batch_stats}
    rngs, mutable = {"dropout": dropout_key}, ["batch_stats"]
    logits, changed = net.apply(variables, inputs, train=True, rngs=rngs, mutable=mutable)
    metrics, batch_stats = summarize(logits, labels), changed.get("batch_stats", {})
    if loss is not None:
        _check_no_label_smoothing(config)
        metrics["loss"] = loss(logits, labels)
    smoothing = numbers.label_smoothing
    if smoothing is None:
        return metrics["loss"], (metrics, batch_stats)
    uniform = uniform_cross_entropy(logits, labels)
    return (1 - smoothing) * metrics["loss"] + smoothing * uniform, (metrics, batch_stats)


def _check_no_label_smoothing(config: TrainConfig) -> None:
    if config.label_smoothing > 0:
        remedy = "a loss that is not the config's smooths no labels, use 0"
        raise UsageError(f"label_smoothing is {config.label_smoothing}: {remedy}")


def _training_inputs(
    batch: Batch, key: PRNGKeyArray, state: TrainState, config: TrainConfig, numbers: Hyperparameters
) -> tuple[Array, Array]:
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
    return training_crops(
        stored, key, state.statistics, config.augment, size, is_noisy, numbers.pca_colour_noise
    ), labels


def _is_noisy(state: TrainState, config: TrainConfig) -> Bool[Array, ""] | bool:
    """Whether the next step adds colour noise."""
    until = config.augment.pca_colour_noise_until
    return until is None or state.step < config.step_of(until)


def train_step(
    state: TrainState,
    batch: Batch,
    key: PRNGKeyArray,
    *,
    config: TrainConfig,
    tower_axis: str | None = None,
    hyperparameters: Hyperparameters | None = None,
    optimizer: optax.GradientTransformation | None = None,
    loss: Loss | None = None,
) -> tuple[TrainState, Metrics]:
    """One step of stochastic gradient descent (paper, section 5).

    Args:
        state: the state before the step.
        batch: ``{"image": uint8 (batch, height, width, channels), "label": int32 (batch,)}``, the images as stored.
        key: the run's random key. All steps get the same key.
        config: the run.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.
        hyperparameters: numbers that replace those of ``config``. They may be traced. None keeps all.
        optimizer: replaces the optimizer of ``config``, with its rates, momentum and decay. ``create_train_state``
            makes its state.
        loss: a function of logits and labels that replaces the loss of ``config``, with a scalar as its result.

    Returns:
        The state after the step, and the metrics of the batch before the update: ``loss`` (nats, or the value of
        ``loss``), ``top1_error`` and ``top5_error`` (fractions), ``count``, and the kernels' ``learning_rate``,
        unless ``optimizer`` is given. If ``config.on_nan`` is "skip", also ``skipped``, which is 1 if the batch was
        left out, else 0.

    Raises:
        UsageError: ``hyperparameters`` has a field that the step does not use, or ``loss`` is given and ``config``
            smooths labels.
    """
    found = gradients_step(
        state, batch, key, config=config, tower_axis=tower_axis, hyperparameters=hyperparameters, loss=loss
    )
    return update_step(
        state, *found, config=config, tower_axis=tower_axis, hyperparameters=hyperparameters, optimizer=optimizer
    )


def gradients_step(
    state: TrainState,
    batch: Batch,
    key: PRNGKeyArray,
    *,
    config: TrainConfig,
    tower_axis: str | None = None,
    hyperparameters: Hyperparameters | None = None,
    loss: Loss | None = None,
) -> tuple[PyTree, Metrics, PyTree]:
    """The first part of ``train_step``.

    Args:
        state: as in ``train_step``.
        batch: as in ``train_step``.
        key: as in ``train_step``.
        config: as in ``train_step``.
        tower_axis: as in ``train_step``.
        hyperparameters: as in ``train_step``.
        loss: as in ``train_step``.

    Returns:
        The gradients of the loss with respect to the parameters, the metrics of ``loss_fn``, and the running
        statistics of batch normalisation after the batch.
    """

    def gradients_of(batch: Batch, key: PRNGKeyArray) -> tuple[PyTree, tuple[Metrics, PyTree]]:
        def local_loss(params: PyTree) -> tuple[Float[Array, ""], tuple[Metrics, PyTree]]:
            value, others = _loss_and_batch_stats(
                params,
                state,
                batch,
                key,
                config=config,
                tower_axis=tower_axis,
                hyperparameters=hyperparameters,
                loss=loss,
            )
            # The transpose of a gather sums the gradients of the losses of all devices.
            return value if tower_axis is None else value / lax.axis_size(tower_axis), others

        return jax.grad(local_loss, has_aux=True)(state.params)

    gradients, (metrics, batch_stats) = accumulate(gradients_of, batch, key, config.micro_batches)
    return gradients, metrics, batch_stats


def update_step(
    state: TrainState,
    gradients: PyTree,
    metrics: Metrics,
    batch_stats: PyTree,
    *,
    config: TrainConfig,
    tower_axis: str | None = None,
    hyperparameters: Hyperparameters | None = None,
    optimizer: optax.GradientTransformation | None = None,
) -> tuple[TrainState, Metrics]:
    """The second part of ``train_step``.

    Args:
        state: as in ``train_step``.
        gradients: the gradients of ``gradients_step``.
        metrics: its metrics.
        batch_stats: its running statistics.
        config: as in ``train_step``.
        tower_axis: as in ``train_step``.
        hyperparameters: as in ``train_step``.
        optimizer: as in ``train_step``.

    Returns:
        The results of ``train_step``.
    """
    numbers = numbers_of(config, hyperparameters, custom=() if optimizer is None else ("optimizer",))
    if optimizer is None:
        rates = learning_rates(state.step, state.plateau, config, numbers)
        rule = make_optimizer(config.optimizer, tower_axis, numbers)
        updates, opt_state = rule.update(gradients, state.opt_state, state.params, rates=rates)
        metrics = metrics | {"learning_rate": rates.kernel}
    else:
        updates, opt_state = _updates_of(optimizer, gradients, state, metrics, config)
    params = optax.apply_updates(state.params, updates)
    average, decay = state.average, config.optimizer.ema_decay
    if decay is not None:
        average = update_average(average, params | batch_stats, state.step + 1, decay)
    before = state
    state = before.replace(params=params, batch_stats=batch_stats, opt_state=opt_state, average=average)
    if config.on_nan == "skip":
        # not of the new state, so that XLA can update the arrays in place
        is_kept = tree_is_finite((metrics["loss"], gradients, batch_stats), tower_axis)
        state = jax.tree.map(partial(jnp.where, is_kept), state, before)
        metrics = metrics | {"skipped": 1 - is_kept.astype(jnp.float32)}
    return state.replace(step=before.step + 1), metrics


def _updates_of(
    optimizer: optax.GradientTransformation, gradients: PyTree, state: TrainState, metrics: Metrics, config: TrainConfig
) -> tuple[PyTree, optax.OptState]:
    """The updates of an optimizer that is not the config's, and its new state. Frozen layers stay as they are."""
    with_value = optax.with_extra_args_support(optimizer)  # optax.contrib.reduce_on_plateau reads it
    with jax.numpy_dtype_promotion("standard"):  # which parts of optax need
        updates, opt_state = with_value.update(gradients, state.opt_state, state.params, value=metrics["loss"])
    return updates | {
        layer: jax.tree.map(jnp.zeros_like, updates[layer]) for layer in config.optimizer.frozen
    }, opt_state


def train_steps(
    state: TrainState,
    batches: Batch,
    key: PRNGKeyArray,
    *,
    config: TrainConfig,
    tower_axis: str | None = None,
    hyperparameters: Hyperparameters | None = None,
    optimizer: optax.GradientTransformation | None = None,
    loss: Loss | None = None,
) -> tuple[TrainState, dict[str, Float[Array, " steps"]]]:
    """Several steps in one ``lax.scan``.

    Args:
        state: the state before the first step.
        batches: the batches of ``train_step``, with an axis of steps before the others.
        key: the run's random key.
        config: the run.
        tower_axis: the mapped axis on which each device holds one tower, as in ``AlexNet``. None for one device.
        hyperparameters: as in ``train_step``.
        optimizer: as in ``train_step``.
        loss: as in ``train_step``.

    Returns:
        The state after the last step, and the metrics of ``train_step``, each with an axis of steps.
    """
    step = partial(
        train_step,
        key=key,
        config=config,
        tower_axis=tower_axis,
        hyperparameters=hyperparameters,
        optimizer=optimizer,
        loss=loss,
    )
    return lax.scan(step, state, batches)
