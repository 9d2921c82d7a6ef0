"""Runs that start from the weights of another run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.config.serialize import differences
from alexnet_jax.errors import UsageError
from alexnet_jax.training.steps.state import TrainState, create_train_state
from alexnet_jax.weights.read import read_weights
from alexnet_jax.weights.weights import Weights

_NORMALISATION = ("augment.mean", "augment.divide_by_stddev", "augment.pixel_scale")


_HEAD = ("model.pool_before_dense", "model.dense", "model.dropout.", "model.head_", "model.image_size", "model.classes")
"""The fields of a net that concern its dense layers."""


def fine_tuning_config(source: TrainConfig, config: TrainConfig) -> TrainConfig:
    """``config`` with the net, the stored images and the normalisation of pixels of the run ``source``.

    If ``config`` fine-tunes already, as the preset ``finetune`` does, it keeps its own dense layers, and can run on two
    devices. It also keeps its own sizes of images, unless the normalisation has a mean image, which has one size.
    """
    has_mean_image = source.augment.mean == "image"
    augment = replace(
        config.augment,
        statistics="measured" if has_mean_image else config.augment.statistics,
        mean=source.augment.mean,
        mean_crop=source.augment.mean_crop,
        divide_by_stddev=source.augment.divide_by_stddev,
        pixel_scale=source.augment.pixel_scale,
    )
    model, data = source.model, replace(config.data, resize=source.data.resize)
    if config.init is None:
        return replace(config, model=model, data=replace(data, image_size=source.data.image_size), augment=augment)
    own = config.model
    model = replace(
        own,
        convs=model.convs,
        channels=model.channels,
        towers=_towers(model, own.towers),
        local_response_norm=model.local_response_norm,
        spatial_response_norm=model.spatial_response_norm,
        batch_norm=model.batch_norm,
        max_pool=model.max_pool,
        average_pool=model.average_pool if _pools(model) else own.average_pool,
    )
    if has_mean_image:
        data = replace(data, image_size=source.data.image_size)
        model = replace(model, image_size=source.model.image_size)
    return replace(config, model=model, data=data, augment=augment)


def _pools(model: ModelConfig) -> bool:
    """Whether the convolutions of ``model`` use its average pooling."""
    return any("average_pool" in conv.then for conv in model.convs)


def _towers(source: ModelConfig, wanted: int) -> int:
    """``wanted``, if the convolutions of ``source`` compute the same in that many towers."""
    normalises = any("local_response_norm" in conv.then for conv in source.convs)
    has_groups = any(conv.groups > 1 for conv in source.convs)
    return source.towers if has_groups or (normalises and not source.local_response_norm.across_towers) else wanted


def start_from(
    weights: Weights, state: TrainState, config: TrainConfig, say: Callable[[str], None] = lambda line: None
) -> TrainState:
    """A new train state with the parameters and running statistics of ``weights``.

    Args:
        weights: where the parameters come from.
        state: a new state of ``config``. Its classifier is kept if the number of classes differs, and all its dense
            layers if ``weights`` has none, or others.
        config: the run that starts.
        say: called with a line about what was taken.

    Raises:
        UsageError: the nets or their normalisation of pixels differ in more than their dense layers.
    """
    is_new = _has_new_head(weights, config)
    _check_same_net(weights, config, is_new)
    *_, head = names = config.model.dense_names
    before, after = weights.config.model.classes, config.model.classes
    new = names if is_new else (head,) if before != after else ()
    reason = f": {after} classes, not {before}" if new == (head,) and before != after else ""
    say(f"starts from {config.init}" + (f", with a new {', '.join(new)}{reason}" if new else ""))
    kept = {name: layer for name, layer in weights.params.items() if name not in new}
    params = {name: kept.get(name, layer) for name, layer in state.params.items()}
    return state.with_variables(params, weights.batch_stats)


def _has_new_head(weights: Weights, config: TrainConfig) -> bool:
    """Whether all dense layers are new: ``weights`` has none, or others."""
    theirs, ours = weights.config.model, config.model
    return bool(weights.missing_layers) or (theirs.pool_before_dense, theirs.dense) != (
        ours.pool_before_dense,
        ours.dense,
    )


def start_from_file(config: TrainConfig, key: PRNGKeyArray, say: Callable[[str], None]) -> TrainState:
    """The first state of a run that starts from the weights in ``config.init``.

    Args:
        config: the run.
        key: draws the classifier if the number of classes differs.
        say: called with a line about what was taken.

    Raises:
        AlexNetError: the weights cannot be read.
        UsageError: the nets or their normalisation of pixels differ in more than their dense layers.
    """
    weights = read_weights(Path(config.init or ""), warn=say)
    return start_from(weights, jax.jit(partial(create_train_state, config))(key, weights.statistics), config, say)


def _check_same_net(weights: Weights, config: TrainConfig, has_new_head: bool) -> None:
    theirs = replace(weights.config, model=replace(weights.config.model, classes=config.model.classes))
    for old, new in ((theirs.model, config.model), (theirs.augment, config.augment)):
        for name, before, after in differences(old, new, old.section):
            if has_new_head and (_is_of_head(name, weights) or _same_in_towers(name, before, after, weights)):
                continue
            if old.section == "model." or name in _NORMALISATION:
                raise UsageError(f"{name} is {after!r}: use {before!r}, as {config.init} has it")
    size = weights.config.data.image_size
    if config.augment.mean == "image" and config.data.image_size != size:
        raise UsageError(
            f"data.image_size is {config.data.image_size}: use {size}, the size of {config.init}'s mean image"
        )


def _is_of_head(name: str, weights: Weights) -> bool:
    return name.startswith(_HEAD) or (name.startswith("model.average_pool.") and not _pools(weights.config.model))


def _same_in_towers(name: str, before: Any, after: Any, weights: Weights) -> bool:
    return name == "model.towers" and _towers(weights.config.model, after) == after
