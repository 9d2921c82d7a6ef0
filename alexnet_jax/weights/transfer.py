"""A run that begins with the weights of another: fine-tuning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.serialize import differences
from alexnet_jax.errors import UsageError
from alexnet_jax.training.state import TrainState
from alexnet_jax.weights.files import Weights


def config_for(weights: Weights, config: TrainConfig) -> TrainConfig:
    """``config`` with the net of ``weights`` and the preparation of pixels that it has learned with."""
    source = weights.config
    augment = replace(
        config.augment,
        mean=source.augment.mean,
        mean_crop=source.augment.mean_crop,
        divide_by_stddev=source.augment.divide_by_stddev,
    )
    data = replace(config.data, image_size=source.data.image_size)
    return replace(config, model=source.model, data=data, augment=augment)


def begin_with(
    weights: Weights, state: TrainState, config: TrainConfig, say: Callable[[str], None] = lambda line: None
) -> TrainState:
    """``state``, new from ``config``, with the parameters of ``weights``; its classifier stays new for other classes.

    ``say`` is told what was taken and what was drawn. Raises UsageError where the nets differ in more than that.
    """
    _check_same_net(weights, config)
    head = config.model.dense_names[-1]
    before, after = weights.config.model.classes, config.model.classes
    redrawn = {head: state.params[head]} if before != after else {}
    say(
        f"begins with {config.init}" + (f", but {head} is drawn anew: {after} classes, not {before}" if redrawn else "")
    )
    return state.replace(params=weights.params | redrawn)


def _check_same_net(weights: Weights, config: TrainConfig) -> None:
    theirs = replace(weights.config, model=replace(weights.config.model, classes=config.model.classes))
    for old, new in ((theirs.model, config.model), (theirs.augment, config.augment)):
        for name, before, after in differences(old, new, old.section):
            if old.section == "model." or name in ("augment.mean", "augment.divide_by_stddev"):
                raise UsageError(
                    f"{name} is {after!r}: {config.init} has {before!r}, and a run that begins with it must"
                )
    size = weights.config.data.image_size
    if config.augment.mean == "image" and config.data.image_size != size:
        raise UsageError(
            f"data.image_size is {config.data.image_size}: the mean image in {config.init} has {size} pixels"
        )
