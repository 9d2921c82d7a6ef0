"""The run that ``alexnet train`` starts from. Other options change its fields."""

from __future__ import annotations

import argparse
import dataclasses
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alexnet_jax.config import TrainConfig
from alexnet_jax.config.serialize import config_from_json
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.hints import command
from alexnet_jax.presets import PRESETS, preset, stored_size
from alexnet_jax.stores.fetch import local
from alexnet_jax.stores.store import url_of
from alexnet_jax.training.runs.run_directory import RunDirectory
from alexnet_jax.variants import variant


@dataclass(frozen=True)
class StartingRun:
    """The config to start from, and its run directory."""

    config: TrainConfig
    workdir: RunDirectory
    keeps_classes: bool = False
    """Whether ``model.classes`` is that of a resumed run or the user's choice. Otherwise the number of classes of the
    data set replaces it."""
    notes: tuple[str, ...] = ()
    """Lines about choices that the user did not make."""


def starting_run(options: argparse.Namespace, workdir: RunDirectory | None = None) -> StartingRun:
    """Finds the run from ``--preset``, ``--variant``, ``--config``, ``--init``, ``--workdir`` and ``--data.dataset``.

    A run directory that holds a run is resumed, unless an option names another run. Otherwise the preset is
    ``quickstart``, ``photos`` for a folder of photos, or ``finetune`` for weights without dense layers. ``--config``,
    ``--variant`` and ``--init`` change it.

    Args:
        options: the values of these options, or None.
        workdir: the run directory, in place of the one that the options name.

    Raises:
        UsageError: a name is unknown, or two options contradict each other.
        AlexNetError: a file cannot be read.
    """
    names_run = any((options.preset, options.variant, options.config, options.init))
    is_headless = bool(options.init and not (options.preset or options.config)) and _has_no_head(options.init)
    default = "photos" if not names_run and _is_folder(getattr(options, "data.dataset")) else "quickstart"
    preset_name = options.preset or ("finetune" if is_headless else default)
    name = options.preset or (Path(options.config).stem if options.config else options.variant) or preset_name
    workdir = workdir or RunDirectory(Path(options.workdir) if options.workdir else Path("runs") / name)
    if options.overwrite and options.init and Path(options.init).resolve().is_relative_to(workdir.root.resolve()):
        raise UsageError(f"--init is {options.init}: --overwrite would delete it; use another --workdir")
    resumes = workdir.has_checkpoint and not options.overwrite
    if resumes and not any((options.preset, options.variant, options.config)):
        return StartingRun(workdir.read_config(), workdir, keeps_classes=True)
    if options.init and options.variant:
        converted = f"{Path(options.init).stem}_{options.variant}.safetensors"
        converting = command("convert", options.init, converted, "--variant", options.variant)
        raise UsageError(f"--variant is {options.variant}: --init determines the net; `{converting}` chooses it")
    config = preset(preset_name)
    config = replace(config, data=replace(config.data, train_examples=None))
    keeps_classes = False
    notes = []
    if is_headless:
        notes.append(
            f"preset finetune, because {options.init} has no dense layers; --preset finetune_linear has no hidden layer"
        )
    if preset_name == "photos" and not options.preset:
        notes.append("preset photos, because the data set is a folder; --preset quickstart is for 32-pixel images")
    if options.config:
        config, keeps_classes = _with_file(config, local(options.config))
    if options.variant or options.init:
        keeps_classes = False
    if options.variant:
        rate = config.optimizer.learning_rate
        config = _with_variant(config, options.variant)
        if config.optimizer.learning_rate != rate:
            notes.append(
                f"learning rate {config.optimizer.learning_rate:g} for {options.variant}, where {preset_name} has "
                f"{rate:g}; --optimizer.learning_rate sets another"
            )
    if options.init:
        config = _with_init(config, options.init)
    keeps_classes |= getattr(options, "model.classes") is not None
    return StartingRun(config, workdir, keeps_classes=keeps_classes, notes=tuple(notes))


def _is_folder(dataset: str | None) -> bool:
    from alexnet_jax.data.folder import is_image_folder  # imports the decoders

    return dataset is not None and is_image_folder(dataset)


def _with_file(config: TrainConfig, path: Path) -> tuple[TrainConfig, bool]:
    """``config`` with the fields that the JSON file at ``path`` sets, and whether it chooses ``model.classes``.

    The config.json of a run does not choose it: its number of classes can come from the data set of that run.
    """
    try:
        changes = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(changes, dict):
            raise UsageError("not a JSON object")
        merged = _merge(dataclasses.asdict(config), changes)
        changed = config_from_json(json.dumps(merged))
    except OSError as error:
        raise UsageError(f"--config is {path}: {(error.strerror or 'cannot be read').lower()}") from error
    except (ValueError, RecursionError) as error:  # UsageError is one
        raise UsageError(f"--config is {path}: {error}") from error
    chooses_classes = "classes" in changes.get("model", {}) and changed.data.train_examples is None
    return replace(changed, data=replace(changed.data, train_examples=None)), chooses_classes


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``changes``. Only objects are merged, lists are replaced."""
    merged = dict(base)
    for name, value in changes.items():
        are_objects = isinstance(value, dict) and isinstance(base.get(name), dict)
        merged[name] = _merge(base[name], value) if are_objects else value
    return merged


def _with_variant(config: TrainConfig, name: str) -> TrainConfig:
    """``config`` with another net, and the stored size and the learning rate that fit the net.

    The learning rate is that of the preset that trains the net, or else the paper's.
    """
    model = variant(name)
    rates = [make().optimizer.learning_rate for make in PRESETS.values() if make().model == model]
    rate = rates[0] if rates else preset("imagenet_paper").optimizer.learning_rate
    return replace(
        config,
        model=model,
        data=replace(config.data, image_size=max(config.data.image_size, stored_size(model))),
        optimizer=replace(config.optimizer, learning_rate=rate),
    )


def _with_init(config: TrainConfig, net: str) -> TrainConfig:
    """``config`` with the net and the preprocessing of the weights ``net``, a path or a name."""
    from alexnet_jax.weights.fine_tuning import fine_tuning_config
    from alexnet_jax.weights.read import read_config

    return replace(fine_tuning_config(read_config(Path(net)), config), init=net)


def _has_no_head(net: str) -> bool:
    """Whether the weights ``net`` end at a convolution. Names of weights to download stand for whole nets.

    Returns False if the weights cannot be read, because a resumed run does not read them.
    """
    from alexnet_jax.weights.names import PREFIX, SHIPPED
    from alexnet_jax.weights.read import read_weights

    if not Path(net).is_file() and url_of(net) is None and net.removeprefix(PREFIX) not in SHIPPED:
        return False
    try:
        return bool(read_weights(Path(net)).missing_layers)
    except AlexNetError:
        return False
