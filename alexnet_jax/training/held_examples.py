"""Training examples that the devices hold, so that only the indices of a batch are transferred."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from alexnet_jax.config import TrainConfig
from alexnet_jax.data.pipeline import evaluation_batches
from alexnet_jax.data.remembered import MEMORY_FRACTION, MOST_REMEMBERED
from alexnet_jax.data.source import DataSet, Example, Joined
from alexnet_jax.resources import usable_memory
from alexnet_jax.training.evaluation import BATCH_SIZE
from alexnet_jax.training.layouts import Layout


def hold_examples(
    data: DataSet,
    config: TrainConfig,
    layout: Layout,
    on_batch: Callable[[str], None] = lambda text: None,
    watch: Callable[[Iterator[Example]], Iterator[Example]] = iter,
) -> bool:
    """Copies all examples that the run trains on to each device of ``layout``, if they fit into the budget.

    The budget is ``MOST_REMEMBERED`` or ``MEMORY_FRACTION`` of the memory of a device, whichever is less. The devices
    of a CPU share its memory. The examples are the validation images, too, if the run trains on them at its end.

    Args:
        data: the data set.
        config: the run.
        layout: the devices.
        on_batch: called with the progress after each batch that is read. It may raise an error to stop.
        watch: passes the batches on.

    Returns:
        Whether they fit.

    Raises:
        AlexNetError: too many images cannot be read.
    """
    source = data.train
    if config.fold_in_step is not None and data.validation is not None:
        source = Joined(source, data.validation)
    if len(source) * source.example_bytes > _budget(layout):
        return False
    batches = []
    for batch in watch(evaluation_batches(source, min(BATCH_SIZE, len(source)))):
        batches.append(batch)
        on_batch(f"{min(len(batches) * BATCH_SIZE, len(source))} of {len(source)} training images read")
    layout.hold({name: np.concatenate([batch[name] for batch in batches])[: len(source)] for name in batches[0]})
    return True


def _budget(layout: Layout) -> float:
    device = layout.devices[0]
    sharing = len(layout.devices) if device.platform == "cpu" else 1
    memory = (device.memory_stats() or {}).get("bytes_limit") or usable_memory()
    return min(MOST_REMEMBERED, MEMORY_FRACTION * memory / sharing)
