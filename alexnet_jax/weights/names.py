"""The names of trained weights, and the files that they stand for."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

from alexnet_jax.errors import UsageError, unknown_name
from alexnet_jax.files import cache_directory
from alexnet_jax.weights.catalogue import CATALOGUE, RemoteFile
from alexnet_jax.weights.shipped import TORCHVISION_FEATURES

PREFIX = "pretrained:"
SHIPPED = {"torchvision_features": TORCHVISION_FEATURES}
"""The weights that come with the package."""

NAMES = (*SHIPPED, *CATALOGUE)
"""All names. There is also ``hf://OWNER/REPO`` and ``hf://OWNER/REPO/FILE``."""

SUFFIXES = (".safetensors", ".pth", ".pt", ".caffemodel", ".onnx")
"""The suffixes of the files that can be read."""

_HUB = "hf:"  # a Path keeps one of the two slashes
_HUB_NAME = re.compile(r"hf:/+([\w-][\w.-]*/[\w-][\w.-]*)(?:/((?:[\w-][\w.-]*/)*[\w-][\w.-]*))?", re.ASCII)


def is_name_of_weights(net: str) -> bool:
    """Whether ``net`` is a name of trained weights, with or without ``pretrained:``."""
    return net.startswith((PREFIX, _HUB)) or net in NAMES


def find_weights(net: str | Path, progress: bool = True) -> Path:
    """The file of ``net`` if it names trained weights, or ``net`` itself. Downloads the file if necessary.

    Args:
        net: a name, ``pretrained:NAME``, ``hf://OWNER/REPO`` or ``hf://OWNER/REPO/FILE``, or a path. A file or
            directory of that name takes precedence over a name without ``pretrained:``.
        progress: whether to report a download on standard error.

    Raises:
        UsageError: ``pretrained:NAME`` with an unknown name, or a package is missing.
        AlexNetError: the file cannot be downloaded, or has another checksum.
    """
    text = Path(net).as_posix()
    name = text.removeprefix(PREFIX)
    if text == name and (Path(net).exists() or not is_name_of_weights(name)):
        return Path(net)
    if name in SHIPPED:
        return SHIPPED[name]
    if name.startswith(_HUB):
        return _from_hub(name, progress)
    if name not in CATALOGUE:
        raise unknown_name("trained weights", name, NAMES)
    file = CATALOGUE[name]
    return _fetch(replace(file, place=_mirror() or file.place), cache_directory(), progress)


def _mirror() -> str | None:
    return os.environ.get("ALEXNET_JAX_MIRROR") or None


def _fetch(file: RemoteFile, folder: Path, progress: bool) -> Path:
    from alexnet_jax.weights.download import fetch  # imports requests, which is slow

    return fetch(file, folder, progress)


def _from_hub(name: str, progress: bool) -> Path:
    match = _HUB_NAME.fullmatch(name)
    name = f"hf://{name.removeprefix(_HUB).lstrip('/')}"
    if match is None:
        raise UsageError(f"{name}: is not the name of a file on the Hugging Face Hub; use hf://OWNER/REPO/FILE")
    repository, file = match.groups()
    if file and Path(file).suffix not in SUFFIXES:
        raise UsageError(f"{name}: names no file of weights, which ends in {', '.join(SUFFIXES)}")
    from alexnet_jax.weights.hub import USUAL_FILE, fetch_from_hub

    mirror = _mirror()
    if mirror is None:
        return fetch_from_hub(repository, file, progress)
    file = file or USUAL_FILE
    folder = cache_directory() / "hub" / repository.replace("/", "--") / Path(file).parent
    return _fetch(RemoteFile(Path(file).name, mirror), folder, progress)
