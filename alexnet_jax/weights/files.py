"""Trained nets in files: safetensors of this project and of torchvision, PyTorch's and Caffe's files, work folders."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.config.serialize import config_from_json, config_to_json
from alexnet_jax.data.synsets import synset_names
from alexnet_jax.errors import AlexNetError, UsageError, first_line
from alexnet_jax.files import replace_file
from alexnet_jax.preprocessing.statistics import Statistics, caffe_statistics, torchvision_statistics
from alexnet_jax.presets import imagenet_caffe, imagenet_torchvision, stored_size
from alexnet_jax.training.checkpoint import Checkpoints, Which
from alexnet_jax.training.run_directory import RunDirectory
from alexnet_jax.training.schedule import Plateau
from alexnet_jax.training.state import TrainState, train_state_form
from alexnet_jax.variants import variant as named_variant
from alexnet_jax.weights.caffe import read_caffemodel, read_mean
from alexnet_jax.weights.channels_first import Layers, from_channels_first, to_channels_first
from alexnet_jax.weights.pytorch import read_state_dict
from alexnet_jax.weights.recognize import (
    layers_of_caffe,
    layers_of_state_dict,
    recognize_caffe,
    recognize_layers,
    torchvision_names,
    with_widths,
)

FileFormat = Literal["alexnet_jax", "torchvision"]
_OURS = "alexnet_jax"


@dataclass(frozen=True)
class Weights:
    """A trained net and what it takes to use it.

    Attributes:
        config: the run that it came from. For weights of another program, the recipe of that program.
        params: the parameters in the canonical form, float32: ``conv1`` to ``fc8``, each with ``kernel`` and ``bias``.
        statistics: the mean that ``preprocess`` subtracts and the standard deviation that it divides by.
        class_names: the names of the classes in the order of the logits; empty if they are not known.
        step: the number of training steps behind it; 0 if it is not known.

    """

    config: TrainConfig
    params: PyTree
    statistics: Statistics
    class_names: tuple[str, ...] = ()
    step: int = 0

    def state(self) -> TrainState:
        """A state to evaluate. It has no optimizer state."""
        return TrainState(
            step=jnp.array(self.step, jnp.int32),
            params=self.params,
            opt_state=(),
            plateau=Plateau.start(),
            statistics=self.statistics,
        )


def load_run(path: str | Path, checkpoint: Which = "latest") -> Weights:
    """The trained net of a run directory. It also reads files, as ``load_weights`` does.

    Args:
        path: the directory that ``alexnet train`` wrote to.
        checkpoint: ``latest``, or ``best`` for the checkpoint with the smallest validation error (test error, if
            nothing was held out).

    Returns:
        The net's config, parameters, statistics and class names.

    Raises:
        AlexNetError: there is no run, or no checkpoint that can be read.
        UsageError: ``path`` is a file, and it does not tell which net it holds.

    """
    return read_weights(Path(path), checkpoint=checkpoint, warn=_warn)


def load_weights(path: str | Path, variant: str | None = None, mean: str | Path | None = None) -> Weights:
    """The trained net in a file: this project's or torchvision's safetensors, a PyTorch state dict, a caffemodel.

    It also reads run directories, as ``load_run`` does.

    Args:
        path: a file ending in ``.safetensors``, ``.pth``, ``.pt`` or ``.caffemodel``.
        variant: the name of the net, for a file whose shapes fit more than one.
        mean: Caffe's mean image (``.binaryproto``), for a ``.caffemodel``. None takes Caffe's usual channel means.

    Returns:
        The net's config, parameters, statistics and class names.

    Raises:
        AlexNetError: the file does not exist or cannot be read.
        UsageError: the suffix or the variant is unknown, or the file does not tell which net it holds.

    """
    return read_weights(Path(path), variant, None if mean is None else Path(mean), warn=_warn)


def _warn(line: str) -> None:
    warnings.warn(line, stacklevel=2)


def read_weights(
    path: Path,
    variant: str | None = None,
    mean: Path | None = None,
    checkpoint: Which = "latest",
    warn: Callable[[str], None] = print,
) -> Weights:
    """The net in ``path``: a work folder, or a file of the format that its suffix names.

    ``variant`` says which net it is where the file's shapes do not; ``mean`` is Caffe's mean image of the training set.
    Reads ``.safetensors`` of this project and of torchvision, ``.pth`` and ``.pt`` (state dicts), ``.caffemodel``.
    Raises AlexNetError for what cannot be read, UsageError where the net cannot be told.
    """
    if path.is_dir():
        return _read_workdir(path, checkpoint, warn)
    if not path.exists():
        raise AlexNetError(f"{path}: no such file or folder; name a work folder or a file of weights")
    if path.suffix not in _READERS:
        raise UsageError(f"{path}: weights are in work folders or in files ending in {', '.join(_READERS)}")
    if mean is not None and path.suffix != ".caffemodel":
        raise UsageError(f"--mean is {mean}: it belongs to .caffemodel files only")
    model = None if variant is None else named_variant(variant)
    try:
        return _READERS[path.suffix](path, model, mean)
    except AlexNetError as error:
        names = tuple(file.name for file in (path, mean) if file is not None)
        raise type(error)(str(error) if str(error).startswith(names) else f"{path}: {error}") from error


def _read_workdir(root: Path, checkpoint: Which, warn: Callable[[str], None]) -> Weights:
    workdir = RunDirectory(root)
    config = workdir.read_config()
    state = None
    if workdir.checkpoints.exists():
        state = Checkpoints(workdir.checkpoints, warn).restore(train_state_form(config), checkpoint)
    if state is None:
        raise AlexNetError(f"{root}: has no checkpoint yet; train for longer")
    return Weights(config, state.params, state.statistics, workdir.read_classes(), int(state.step))


# PyTorch


def _read_pytorch(path: Path, model: ModelConfig | None, _: Path | None) -> Weights:
    return _from_state_dict(read_state_dict(path), model)


def _from_state_dict(state: dict[str, np.ndarray], model: ModelConfig | None) -> Weights:
    layers = layers_of_state_dict(state)
    model = recognize_layers(layers) if model is None else with_widths(model, layers)
    return _foreign(imagenet_torchvision(), model, layers, torchvision_statistics(model.channels), bgr=False)


def _foreign(recipe: TrainConfig, model: ModelConfig, layers: Layers, statistics: Statistics, bgr: bool) -> Weights:
    """Weights of another program, prepared for as its ``recipe`` says."""
    mean = np.asarray(statistics.mean)
    size = mean.shape[0] if mean.ndim == 3 else stored_size(model)
    config = replace(
        recipe,
        model=model,
        data=replace(recipe.data, image_size=size),
        augment=replace(recipe.augment, mean="image" if mean.ndim == 3 else "channel"),
    )
    params = from_channels_first(layers, model, bgr)
    # both programs count ImageNet's classes in the order of their synset ids
    names = tuple(synset_names().values()) if model.classes == len(synset_names()) else ()
    return Weights(config, params, statistics, names)


# Caffe


def _read_caffe(path: Path, model: ModelConfig | None, mean: Path | None) -> Weights:
    net = read_caffemodel(path)
    layers = layers_of_caffe(net)
    model = with_widths(recognize_caffe(net) if model is None else model, layers)
    model = model if net.image_size is None else replace(model, image_size=net.image_size)
    statistics = caffe_statistics(None if mean is None else read_mean(mean))
    return _foreign(imagenet_caffe(), model, layers, statistics, bgr=True)


# Safetensors


def _read_safetensors(path: Path, model: ModelConfig | None, _: Path | None) -> Weights:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.offset_keys()}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise AlexNetError(f"not a whole safetensors file ({first_line(error)}); copy it again") from error
    if metadata.get("format") != _OURS:
        return _from_state_dict(arrays, model)
    return _from_ours(metadata, arrays)


def _from_ours(metadata: dict[str, str], arrays: dict[str, np.ndarray]) -> Weights:
    damaged = "damaged: {}; convert it again from where it came"
    try:
        config = config_from_json(metadata["config"])
        names, step = tuple(map(str, json.loads(metadata["class_names"]))), int(metadata["step"])
    except (KeyError, ValueError, TypeError) as error:
        raise AlexNetError(damaged.format(f"its metadata cannot be read ({first_line(error)})")) from error
    form = train_state_form(config)
    wanted = {
        _path(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(_saved(form.params, form.statistics))
    }
    for name, leaf in wanted.items():
        if name not in arrays or arrays[name].shape != leaf.shape or arrays[name].dtype != np.float32:
            raise AlexNetError(damaged.format(f"{name} is not there as float32 {leaf.shape}"))
    if len(arrays) > len(wanted):
        raise AlexNetError(damaged.format(f"{min(set(arrays) - set(wanted))} is none of its net's arrays"))
    tree = jax.tree_util.tree_map_with_path(lambda path, _: arrays[_path(path)], _saved(form.params, form.statistics))
    return Weights(config, tree["params"], Statistics(**tree["statistics"]), names, step)


def _saved(params: PyTree, statistics: Statistics) -> PyTree:
    return {
        "params": params,
        "statistics": {"mean": statistics.mean, "colour_covariance": statistics.colour_covariance},
    }


def _path(path: tuple[object, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/").removeprefix("params/")


_READERS: dict[str, Callable[[Path, ModelConfig | None, Path | None], Weights]] = {
    ".safetensors": _read_safetensors,
    ".pth": _read_pytorch,
    ".pt": _read_pytorch,
    ".caffemodel": _read_caffe,
}


def write_weights(weights: Weights, path: Path, layout: FileFormat = "alexnet_jax") -> None:
    """Writes a ``.safetensors`` file, whole or not at all.

    This project's ``layout`` holds the net, its parameters, the preparation of pixels and the names of the classes;
    torchvision's holds the parameters alone, by the names and shapes of its state dict. Raises UsageError where the
    file cannot be called so or is there already.
    """
    if path.suffix != ".safetensors":
        raise UsageError(f"{path}: weights are written as safetensors; name a file ending in .safetensors")
    if path.exists():
        raise UsageError(f"{path}: is there already; remove it, or name another file")
    model = weights.config.model
    if layout == "torchvision":
        names, metadata = torchvision_names(model), {"format": "pt"}
        arrays = {
            f"{names[layer]}.{kind}": part[ours]
            for layer, part in to_channels_first(weights.params, model, bgr=False).items()
            for kind, ours in (("weight", "kernel"), ("bias", "bias"))
        }
    else:
        tree = _saved(weights.params, weights.statistics)
        arrays = {_path(place): np.asarray(leaf) for place, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        names_text = json.dumps(weights.class_names)
        config = replace(
            weights.config, data=replace(weights.config.data, data_dir=None)
        )  # of the machine, not the net
        metadata = {
            "format": _OURS,
            "config": config_to_json(config),
            "class_names": names_text,
            "step": str(weights.step),
        }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata))
    except OSError as error:
        raise AlexNetError(
            f"{path}: could not be written ({first_line(error)}); make room or name another place"
        ) from error
