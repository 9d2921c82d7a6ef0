"""Safetensors files: this project's format, and torchvision's names in the same container.

This project's format has every parameter and running statistic as ``LAYER/KIND`` and the pixel statistics as
``statistics/NAME``, all float32. Its metadata has the config as JSON, the class names and the step. ``last_layer`` in
the metadata names the last layer of a file without the layers after it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from jaxtyping import PyTree
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from alexnet_jax.config import ModelConfig
from alexnet_jax.config.serialize import config_from_json, config_to_json
from alexnet_jax.errors import AlexNetError, UsageError, first_line
from alexnet_jax.files import replace_file
from alexnet_jax.preprocessing.statistics import Statistics
from alexnet_jax.training.steps.state import TrainState, abstract_train_state
from alexnet_jax.weights.torchvision import state_dict, weights_from_state_dict
from alexnet_jax.weights.weights import Weights

FileFormat = Literal["alexnet_jax", "torchvision"]

_OWN_FORMAT = "alexnet_jax"
_SUFFIX = ".safetensors"


def read_safetensors_weights(path: Path, model: ModelConfig | None) -> Weights:
    """Reads a ``.safetensors`` file of this project, or one with torchvision's names.

    Args:
        path: the file.
        model: the net, or None to recognise it. Files of this project hold their config and ignore it.

    Raises:
        AlexNetError: the file cannot be read, or has another net.
        UsageError: torchvision's names with shapes that fit no named net, or several.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.offset_keys()}
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise AlexNetError(f"not a complete safetensors file ({first_line(error)}); copy it again") from error
    if metadata.get("format") == _OWN_FORMAT:
        return _from_own_format(metadata, arrays)
    return weights_from_state_dict(arrays, model)


def write_weights(weights: Weights, path: Path, file_format: FileFormat = "alexnet_jax") -> None:
    """Writes a ``.safetensors`` file.

    Args:
        weights: the trained net.
        path: the file, which must not exist. Its directory is created.
        file_format: ``alexnet_jax`` keeps the config, the parameters, the running statistics, the pixel statistics and
            the class names. ``torchvision`` keeps only the parameters, with the names and shapes of its state dict.

    Raises:
        UsageError: the name does not end in ``.safetensors``, the file exists, or weights without dense layers are to
            be written in torchvision's format.
        AlexNetError: the file cannot be written.
    """
    if path.suffix != _SUFFIX:
        raise UsageError(f"{path}: weights are written as safetensors; use a name that ends in {_SUFFIX}")
    if path.exists():
        raise UsageError(f"{path}: already exists; remove it or use another name")
    if file_format == "torchvision":
        weights.check_complete()
        arrays, metadata = state_dict(weights.params, weights.config.model), {"format": "pt"}
    else:
        arrays, metadata = _to_own_format(weights)
    content = save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
    except OSError as error:
        raise AlexNetError(
            f"{path}: cannot be written ({first_line(error)}); free some space or use another directory"
        ) from error


def _to_own_format(weights: Weights) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    # data_dir is a path on this machine and does not belong to the net.
    config = replace(weights.config, data=replace(weights.config.data, data_dir=None))
    metadata = {
        "format": _OWN_FORMAT,
        "config": config_to_json(config),
        "class_names": json.dumps(weights.class_names),
        "step": str(weights.step),
    }
    if weights.missing_layers:
        metadata["last_layer"] = list(weights.params)[-1]
    leaves = jax.tree_util.tree_leaves_with_path(_saved_tree(weights))
    return {_array_name(path): np.asarray(leaf) for path, leaf in leaves}, metadata


def _from_own_format(metadata: dict[str, str], arrays: dict[str, np.ndarray]) -> Weights:
    try:
        config = config_from_json(metadata["config"])
        class_names = tuple(map(str, json.loads(metadata["class_names"])))
        step = int(metadata["step"])
    except (KeyError, ValueError, TypeError) as error:
        raise _damaged(f"its metadata cannot be read ({first_line(error)})") from error
    form = abstract_train_state(config)
    saved_form = _saved_tree(form)
    last = metadata.get("last_layer")
    if last is not None:
        saved_form["params"] = _up_to(last, config.model, saved_form["params"])
    expected = {_array_name(path): leaf.shape for path, leaf in jax.tree_util.tree_leaves_with_path(saved_form)}
    for name, shape in expected.items():
        if name not in arrays or arrays[name].shape != shape or arrays[name].dtype != np.float32:
            raise _damaged(f"{name} is missing, or is not float32 {shape}")
    unexpected = sorted(set(arrays) - set(expected))
    if unexpected:
        raise _damaged(f"{unexpected[0]} is not an array of its net")
    tree = jax.tree_util.tree_map_with_path(lambda path, _: arrays[_array_name(path)], saved_form)
    statistics = Statistics(**tree["statistics"])
    return Weights(config, tree["params"], statistics, class_names, step, tree["batch_stats"])


def _up_to(last: str, model: ModelConfig, params: PyTree) -> PyTree:
    names = model.layer_names
    if last not in names:
        raise _damaged(f"its net has no layer {last}")
    return {name: params[name] for name in names[: names.index(last) + 1]}


def _damaged(problem: str) -> AlexNetError:
    return AlexNetError(f"damaged: {problem}; convert it again from its source")


def _saved_tree(net: Weights | TrainState) -> PyTree:
    statistics = net.statistics
    return {
        "params": net.params,
        "batch_stats": net.batch_stats,
        "statistics": {"mean": statistics.mean, "colour_covariance": statistics.colour_covariance},
    }


def _array_name(path: tuple[object, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/").removeprefix("params/").removeprefix("batch_stats/")
