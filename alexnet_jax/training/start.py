"""The start of a run: its config fitted to its data, and the state of its latest checkpoint or a new one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.serialize import config_from_json, config_to_json, differences
from alexnet_jax.data.identity import Identity, describe_data_change
from alexnet_jax.data.measure_statistics import training_statistics
from alexnet_jax.data.source import DataSet
from alexnet_jax.data.unreadable import UnreadableImages
from alexnet_jax.errors import UsageError
from alexnet_jax.hosts.team import Team
from alexnet_jax.preprocessing.statistics import torchvision_statistics
from alexnet_jax.training.runs.checkpoint import Checkpoints
from alexnet_jax.training.runs.checkpoint_writer import CheckpointWriter
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.training.steps.state import TrainState, abstract_train_state, create_train_state


def absolute_paths(config: TrainConfig) -> TrainConfig:
    """``config`` with absolute paths of its data and weights, so that the run can be used from any directory.

    Names of data sets and paths that do not exist stay as they are.
    """
    data_dir = config.data.data_dir and _absolute(config.data.data_dir)
    data = replace(config.data, dataset=_absolute(config.data.dataset), data_dir=data_dir)
    return replace(config, data=data, init=config.init and _absolute(config.init))


def _absolute(path: str) -> str:
    expanded = Path(path).expanduser()
    return str(expanded.absolute()) if expanded.exists() else path


def fit_to_data(config: TrainConfig, data: DataSet, keep_classes: bool) -> TrainConfig:
    """Fills in what the config takes from its data: the numbers of training images and of classes.

    A run with ``config.init`` trains on all images at once if they are fewer than ``config.batch_size``.

    Args:
        config: the run.
        data: its data set.
        keep_classes: whether to keep ``config.model.classes``, which may be more than ``data`` has.

    Raises:
        UsageError: ``keep_classes`` keeps too few classes, or the config needs validation images and ``data`` has none.
    """
    classes = len(data.class_names)
    if keep_classes and config.model.classes < classes:
        raise UsageError(
            f"model.classes is {config.model.classes}: {data.where} has {classes} classes, use at least as many"
        )
    if config.schedule.rule == "plateau" and data.validation is None:
        raise UsageError(
            "schedule.rule is 'plateau': nothing is held out to validate on; use --data.validation_fraction 0.1, "
            "--data.validation_split, or --schedule.rule steps"
        )
    model = config.model if keep_classes else replace(config.model, classes=classes)
    batch_size = config.batch_size
    if config.init is not None and config.micro_batches == config.augment.images_per_crop == 1:
        batch_size = min(batch_size, len(data.train))
    return replace(
        config, model=model, data=replace(config.data, train_examples=len(data.train)), batch_size=batch_size
    )


def check_same_run(config: TrainConfig, data: Identity, team: Team) -> None:
    """Checks that all processes train the same run.

    Args:
        config: the run. Its data may be in another place in each process.
        data: its data set.
        team: the processes.

    Raises:
        UsageError: this process has another config, or other data, than the main one.
    """
    main_config = team.text_from_main("config", config_to_json(config))
    main_data = team.text_from_main("data", data.to_json())
    if team.is_main:
        return
    for name, there, here in differences(config_from_json(main_config), config):
        if name not in ("data.dataset", "data.data_dir", "init"):
            raise UsageError(
                f"{name} is {here!r} and in process 0 {there!r}: start all processes with the same command"
            )
    change = describe_data_change(Identity.from_json(main_data), data)
    if change is not None:
        raise UsageError(
            f"{config.data.dataset}: not the data of process 0: {change}; give all processes the same data"
        )


def run_keys(config: TrainConfig) -> tuple[PRNGKeyArray, PRNGKeyArray]:
    """The keys of a run: for the initial weights, and for its steps."""
    weights_key, steps_key = jax.random.split(jax.random.key(config.seed))
    return weights_key, steps_key


StartFromWeights = Callable[[TrainConfig, PRNGKeyArray, Callable[[str], None]], TrainState]
"""Makes the first state of a run with ``config.init``, from the key of the initial weights. The last argument is called
with a line of text for the user."""


def restore_or_create(
    config: TrainConfig,
    data: DataSet,
    workdir: RunDirectory,
    say: Callable[[str], None],
    start_from_weights: StartFromWeights | None = None,
    unreadable: UnreadableImages | None = None,
) -> TrainState:
    """The state of the latest readable checkpoint, or a new state.

    Args:
        config: the run.
        data: its data set.
        workdir: its directory.
        say: called with lines of text for the user.
        start_from_weights: makes the first state of a run with ``config.init``.
        unreadable: collects the training images that cannot be read.

    Raises:
        UsageError: a new run has ``config.init`` and no ``start_from_weights``.
        AlexNetError: no checkpoint can be read, or the weights of ``config.init`` cannot.
    """
    state = Checkpoints(workdir.checkpoints, warn=say).restore(abstract_train_state(config))
    if state is None:
        weights_key, _ = run_keys(config)
        if config.init is None:
            state = _create(config, data, weights_key, say, unreadable)
        elif start_from_weights is None:
            remedy = "pass start_from_weights=alexnet_jax.weights.fine_tuning.start_from_file"
            raise UsageError(f"init is {config.init!r}: nothing reads these weights; {remedy}")
        else:
            state = start_from_weights(config, weights_key, say)
    return state


def prepare_to_resume(
    workdir: RunDirectory, writer: CheckpointWriter, step: int, devices: int, layout: str, say: Callable[[str], None]
) -> None:
    """Makes a run directory that of a run at ``step``, and records the versions with which the run continues.

    Sets aside the checkpoints of later steps, which are damaged, and deletes the rows of later steps in metrics.jsonl.
    The run takes those steps again.

    Args:
        workdir: the directory of the run.
        writer: sets checkpoints aside.
        step: the number of steps taken.
        devices: the number of devices that the run uses.
        layout: the name of their layout.
        say: called with lines of text for the user.
    """
    for place in writer.set_aside_after(step):
        say(f"a damaged checkpoint is now {place}; it can be deleted")
    workdir.keep_metrics_until(step, say)
    change = workdir.record_versions(step, devices, layout)
    if change is not None:
        say(change)


def empty_state(config: TrainConfig) -> TrainState:
    """Zeros in the shapes of a state, for a process that gets its state from another."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract_train_state(config))


def _create(
    config: TrainConfig,
    data: DataSet,
    key: PRNGKeyArray,
    say: Callable[[str], None],
    unreadable: UnreadableImages | None,
) -> TrainState:
    channels = config.model.channels
    if config.augment.statistics == "imagenet":
        statistics = torchvision_statistics(channels)
    else:
        per_pixel = config.augment.mean == "image"
        statistics = training_statistics(data, config.data, channels, per_pixel, unreadable)
    if statistics.constant_channels:
        constant = " and ".join(map(str, statistics.constant_channels))
        say(f"note      channel {constant} of the training images is constant (channels count from 0)")
    return jax.jit(partial(create_train_state, config))(key, statistics)
