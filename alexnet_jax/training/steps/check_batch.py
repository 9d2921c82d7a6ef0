"""A check of the values of a batch, which a compiled step cannot see."""

from __future__ import annotations

import numpy as np

from alexnet_jax.batch import PADDING_LABEL, Batch, check_images, check_labels, images_and_labels
from alexnet_jax.config import TrainConfig
from alexnet_jax.errors import UsageError


def check_batch(batch: Batch, config: TrainConfig) -> None:
    """Checks a batch for ``train_step`` and ``eval_step``, also the values of its labels. Call it outside ``jax.jit``.

    The steps check shapes and dtypes themselves. They run with labels out of range, and return wrong losses.

    Args:
        batch: ``{"image": uint8 (batch, height, width, channels), "label": int32 (batch,)}``, the images as stored.
        config: the run.

    Raises:
        UsageError: the images or labels have a wrong shape or dtype, or a label is neither -1 (padding) nor one of the
            net's classes.
    """
    images, labels = images_and_labels(batch)
    check_images(images, config.model.channels, config.model.image_size)
    check_labels(labels, len(images))
    values = np.asarray(labels)
    is_wrong = (values < PADDING_LABEL) | (values >= config.model.classes)
    if is_wrong.any():
        index = int(is_wrong.argmax())
        remedy = f"use 0 to {config.model.classes - 1}, or {PADDING_LABEL} for an example that does not count"
        raise UsageError(f"label {index} is {values[index]}: {remedy}")
