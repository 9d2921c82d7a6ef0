"""Reads pickles of nested dicts of NumPy arrays, without running code from the file."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from alexnet_jax.errors import AlexNetError, first_line
from alexnet_jax.weights.restricted_pickle import read_pickle

_DTYPE_ARGUMENTS = 3
_STATE_ITEMS = 5
_SUPPORTED = "dicts of arrays of float32"


class _Dtype:
    def __init__(self, name: str, *flags: object):
        if name != "f4" or len(flags) != _DTYPE_ARGUMENTS - 1:
            raise ValueError(name)

    def set_state(self, state: Any) -> None:
        if state[1] != "<":
            raise ValueError(state)


class _Array:
    value: np.ndarray | None = None

    def set_state(self, state: Any) -> None:
        if len(state) != _STATE_ITEMS or not isinstance(state[2], _Dtype):
            raise ValueError("not an array of float32")
        _, shape, _, is_fortran, content = state
        if 4 * math.prod(shape) != len(content):
            raise ValueError(shape)
        self.value = np.frombuffer(content, "<f4").reshape(shape, order="F" if is_fortran else "C")


def _reconstruct(kind: object, shape: tuple[int, ...], typecode: bytes) -> _Array:
    return _Array()


_KNOWN = {
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy.ndarray": _Array,
    "numpy.dtype": _Dtype,
}


def read_numpy_pickle(path: Path) -> dict[str, Any]:
    """Reads a pickle of a nested dict, with strings as keys and arrays of float32 as leaves.

    Args:
        path: the file.

    Returns:
        The dict, with read-only arrays.

    Raises:
        AlexNetError: the file cannot be read, or holds something else.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AlexNetError(f"{path}: cannot be read ({first_line(error)})") from error
    try:
        return _arrays(read_pickle(io.BytesIO(content), _KNOWN, lambda _: None, "pickle", f"pickle only {_SUPPORTED}"))
    except AlexNetError as error:
        raise AlexNetError(f"{path}: {error}") from error


def _arrays(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _arrays(part) for name, part in value.items()}
    if isinstance(value, _Array) and value.value is not None:
        return value.value
    raise AlexNetError(f"holds other values than arrays; pickle only {_SUPPORTED}")
