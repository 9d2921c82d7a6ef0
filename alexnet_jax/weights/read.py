"""Reads weights from a run directory or from a file, by its suffix."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from pathlib import Path

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.errors import AlexNetError, UsageError, require_package, unknown_name
from alexnet_jax.stores.fetch import fetch, local
from alexnet_jax.stores.store import url_of
from alexnet_jax.training.runs.checkpoint import Checkpoints
from alexnet_jax.training.runs.checkpoint_files import checkpoint_steps
from alexnet_jax.training.runs.run_directory import RunDirectory, Which
from alexnet_jax.training.steps.state import abstract_train_state
from alexnet_jax.variants import variant as named_variant
from alexnet_jax.weights.caffe import read_caffe_weights
from alexnet_jax.weights.names import NAMES, SUFFIXES, find_weights
from alexnet_jax.weights.safetensors import read_safetensors_weights
from alexnet_jax.weights.torchvision import read_torch_weights
from alexnet_jax.weights.weights import Weights

_CHOICES = ("latest", "best")


def load_run(path: str | Path, checkpoint: Which = "latest") -> Weights:
    """Reads the trained net of a run directory, or of a weights file as ``load_weights`` does.

    Args:
        path: the directory that ``alexnet train`` wrote to, or its URL on an object store.
        checkpoint: ``latest``, the number of a step, or ``best`` for the checkpoint with the smallest validation error.
            Without validation images no checkpoint is the best, and the latest is read with a warning.

    Returns:
        The net's config, parameters, statistics and class names.

    Raises:
        AlexNetError: the run does not exist, or has no checkpoint that can be read.
        UsageError: ``path`` is a file that fits several nets or none, or the step has no checkpoint.
    """
    return read_weights(Path(path), checkpoint=checkpoint, warn=_warn)


def load_weights(path: str | Path, variant: str | None = None, mean: str | Path | None = None) -> Weights:
    """Reads the trained net of a weights file, or of a run directory as ``load_run`` does.

    Args:
        path: a ``.safetensors`` file of this project or of torchvision, a PyTorch state dict (``.pth``, ``.pt``), a
            ``.caffemodel`` file, or an ``.onnx`` file of a net of Caffe, as in the ONNX model zoo. Or a name of trained
            weights as for ``pretrained``, with or without the prefix ``pretrained:``; a file or directory of that name
            takes precedence over a name without the prefix. Or the URL of such a file on an object store.
        variant: the name of the net, for files whose shapes fit several nets or none.
        mean: Caffe's mean image, a ``.binaryproto`` file, for ``.caffemodel`` and ``.onnx`` files. None means Caffe's
            usual channel means.

    Returns:
        The net's config, parameters, statistics and class names.

    Raises:
        AlexNetError: the file does not exist or cannot be read.
        UsageError: the suffix or the variant is unknown, or the file fits several nets or none.
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
    progress: bool = True,
) -> Weights:
    """Reads a trained net from a run directory or a weights file, or by its name.

    Args:
        path: a run directory, or a file or name as for ``load_weights``, or the URL of a run or a file.
        variant: as for ``load_weights``.
        mean: as for ``load_weights``.
        checkpoint: which checkpoint of a run directory to read.
        warn: called with a line for each damaged checkpoint that is skipped, and if there is no best checkpoint.
        progress: whether to report a download on standard error.

    Raises:
        AlexNetError: the weights cannot be read or downloaded.
        UsageError: the file fits several nets or none, or an argument does not fit the file.
    """
    url = url_of(path)
    if url is not None:
        place = local_net(path, checkpoint, progress)
        try:
            return read_weights(place, variant, mean, checkpoint, warn)
        except AlexNetError as error:
            error.args = (str(error).replace(str(place), url),)
            raise
    path = find_weights(path, progress)
    mean = None if mean is None else local(mean, progress)
    if mean is not None and path.suffix not in (".caffemodel", ".onnx"):
        raise UsageError(f"--mean is {mean}: only .caffemodel and .onnx files take a mean image")
    if isinstance(checkpoint, str) and checkpoint not in _CHOICES:
        raise unknown_name("checkpoint", checkpoint, _CHOICES)
    if path.is_dir():
        return _read_run(path, checkpoint, warn)
    if not path.exists():
        near = difflib.get_close_matches(str(path), NAMES, n=1)
        remedy = f"did you mean the trained weights {near[0]}?" if near else "pass a run directory or a weights file"
        raise AlexNetError(f"{path}: no such file or directory; {remedy}")
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: neither a run directory nor a weights file, which ends in {', '.join(SUFFIXES)}")
    for file in (path, mean):
        if file is not None and file.exists() and not file.is_file():  # opening a pipe would wait for its writer
            raise UsageError(f"{file}: is not a regular file; copy its content to one")
    model = None if variant is None else named_variant(variant)
    try:
        return _read_file(path, model, mean)
    except AlexNetError as error:
        names = tuple(file.name for file in (path, mean) if file is not None)
        if not str(error).startswith(names):
            error.args = (f"{path}: {error}",)
        raise


def local_net(net: Path, checkpoint: Which = "latest", progress: bool = True) -> Path:
    """``net``, or for the URL of a run or a file of weights a copy in the user's cache, as ``fetch`` makes it.

    Args:
        net: as ``path`` for ``read_weights``.
        checkpoint: the checkpoint of a run to copy.
        progress: whether to report the copying on standard error.

    Raises:
        AlexNetError: the run or the file does not exist, or the store cannot be read.
    """
    url = url_of(net)
    if url is None:
        return net
    if net.suffix in SUFFIXES:
        return fetch(url, progress=progress)
    from alexnet_jax.training.runs.stored_run import fetch_run

    return fetch_run(url, checkpoint, progress)


def read_config(net: Path) -> TrainConfig:
    """The config of a trained net, as in the ``Weights`` that ``read_weights`` returns.

    Does not start JAX's backend.

    Args:
        net: as ``path`` for ``read_weights``.

    Raises:
        AlexNetError: as ``read_weights``.
    """
    run = RunDirectory(local_net(net))
    return run.read_config() if run.has_checkpoint else read_weights(net).config


def _read_file(path: Path, model: ModelConfig | None, mean: Path | None) -> Weights:
    match path.suffix:
        case ".safetensors":
            return read_safetensors_weights(path, model)
        case ".caffemodel":
            return read_caffe_weights(path, model, mean)
        case ".pth" | ".pt":
            return read_torch_weights(path, model)
        case ".onnx":
            require_package("onnx", "reading .onnx files", extra="export")
            from alexnet_jax.weights.onnx_file import read_onnx_weights

            return read_onnx_weights(path, model, mean)
        case _:
            raise AssertionError(f"{path.suffix} is in SUFFIXES and has no reader")


def _read_run(root: Path, checkpoint: Which, warn: Callable[[str], None]) -> Weights:
    run = RunDirectory(root)
    config = run.read_config()
    first = _step(run, config, checkpoint, warn)
    state = Checkpoints(run.checkpoints, warn).restore(abstract_train_state(config), first)
    if state is None:
        raise AlexNetError(f"{root}: has no checkpoint yet; train for longer")
    variables = state.inference_variables
    return Weights(
        config, statistics=state.statistics, class_names=run.read_classes(), step=int(state.step), **variables
    )


def _step(run: RunDirectory, config: TrainConfig, checkpoint: Which, warn: Callable[[str], None]) -> int | None:
    """The step of the checkpoint to read, or None for the latest."""
    if checkpoint == "latest":
        return None
    if checkpoint == "best":
        best = run.best_step(config.data)
        if best is None:
            warn(f"{run.root}: has no errors of validation images to choose the best checkpoint by; reading the latest")
        return best
    steps = checkpoint_steps(run.checkpoints)
    if checkpoint not in steps:
        raise UsageError(
            f"--checkpoint is {checkpoint}: {run.root} has the checkpoints of steps {', '.join(map(str, steps))}"
        )
    return checkpoint
