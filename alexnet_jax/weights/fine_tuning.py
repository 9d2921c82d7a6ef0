"""Runs that start from the weights of another run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
from jaxtyping import PRNGKeyArray

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.serialize import differences
from alexnet_jax.errors import UsageError
from alexnet_jax.training.state import TrainState, create_train_state
from alexnet_jax.weights.read import read_weights
from alexnet_jax.weights.weights import Weights

_NORMALISATION = ("augment.mean", "augment.divide_by_stddev", "augment.pixel_scale")


def fine_tuning_config(weights: Weights, config: TrainConfig) -> TrainConfig:
    """``config`` with the net, the stored images and the normalisation of pixels of ``weights``."""
    source = weights.config
    augment = replace(
        config.augment,
        mean=source.augment.mean,
        mean_crop=source.augment.mean_crop,
        divide_by_stddev=source.augment.divide_by_stddev,
        pixel_scale=source.augment.pixel_scale,
    )
    data = replace(config.data, image_size=source.data.image_size, resize=source.data.resize)
    return replace(config, model=source.model, data=data, augment=augment)


def start_from(
    weights: Weights, state: TrainState, config: TrainConfig, say: Callable[[str], None] = lambda line: None
) -> TrainState:
    """A new train state with the parameters and running statistics of ``weights``.

    Args:
        weights: where the parameters come from.
        state: a new state of ``config``. Its classifier is kept if the number of classes differs, and so are layers
            that ``weights`` does not have.
        config: the run that starts.
        say: called with a line about what was taken.

    Raises:
        UsageError: the nets or their normalisation of pixels differ in more than the number of classes.
    """
    _check_same_net(weights, config)
    head = config.model.dense_names[-1]
    before, after = weights.config.model.classes, config.model.classes
    new = weights.missing_layers if before == after or weights.missing_layers else (head,)
    reason = f": {after} classes, not {before}" if new == (head,) else ""
    say(f"starts from {config.init}" + (f", with a new {', '.join(new)}{reason}" if new else ""))
    return state.with_variables(weights.params | {name: state.params[name] for name in new}, weights.batch_stats)


def start_from_file(config: TrainConfig, key: PRNGKeyArray, say: Callable[[str], None]) -> TrainState:
    """The first state of a run that starts from the weights in ``config.init``.

    Args:
        config: the run.
        key: draws the classifier if the number of classes differs.
        say: called with a line about what was taken.

    Raises:
        AlexNetError: the weights cannot be read.
        UsageError: the nets or their normalisation of pixels differ in more than the number of classes.
    """
    weights = read_weights(Path(config.init or ""), warn=say)
    return start_from(weights, jax.jit(partial(create_train_state, config))(key, weights.statistics), config, say)


def _check_same_net(weights: Weights, config: TrainConfig) -> None:
    theirs = replace(weights.config, model=replace(weights.config.model, classes=config.model.classes))
    for old, new in ((theirs.model, config.model), (theirs.augment, config.augment)):
        for name, before, after in differences(old, new, old.section):
            if old.section == "model." or name in _NORMALISATION:
                raise UsageError(f"{name} is {after!r}: use {before!r}, as {config.init} has it")
    size = weights.config.data.image_size
    if config.augment.mean == "image" and config.data.image_size != size:
        raise UsageError(
            f"data.image_size is {config.data.image_size}: use {size}, the size of {config.init}'s mean image"
        )
