"""Reads the tensors in files of ``torch.save``, without PyTorch and without running code from the file.

A file is a zip archive (``NAME/data.pkl``, ``NAME/data/KEY``) or, before PyTorch 1.6, a sequence of pickles followed by
the storages. In both formats, a pickle describes each tensor as a strided view of a storage, and the storages are raw
numbers.
"""

from __future__ import annotations

import io
import math
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np

from alexnet_jax.errors import AlexNetError, first_line, printable
from alexnet_jax.weights.restricted_pickle import ordered_dict, read_pickle

_DTYPES = {
    "Float": np.float32,
    "Double": np.float64,
    "Half": np.float16,
    "BFloat16": ml_dtypes.bfloat16,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}

_ZIP_START = b"PK\x03\x04"
# The values of the first two pickles of the older format.
_LEGACY_NUMBER = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_HEAD_BYTES = 512  # enough for that number, or for the magic bytes of a tar archive
_TAR_MAGIC = b"ustar"
_TAR_MAGIC_OFFSET = 257

_MAX_AXES = 64  # NumPy's limit
_DAMAGED = "is damaged, or was not written by torch.save; download it again"


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    elements: int


class _Tensor(NamedTuple):
    """A strided view of a storage. Offset and strides are in elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """Reads a state dict.

    Args:
        path: a file of ``torch.save`` with a state dict, or a training checkpoint with one under "state_dict" or
            "model".

    Returns:
        Read-only arrays by name, with the dtypes of the file. The part ``module``, which DataParallel adds to names,
        is removed.

    Raises:
        AlexNetError: the file is not one of PyTorch's, is damaged, or has more than tensors and plain values.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except AlexNetError as error:
        raise AlexNetError(f"{path.name}: {error}") from error
    except OSError as error:
        raise AlexNetError(f"{path.name}: cannot be read ({error.strerror or first_line(error)})") from error
    # zipfile's errors about damaged archives have no common class.
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        struct.error,
    ) as error:
        raise AlexNetError(f"{path.name}: is damaged ({first_line(error)}); download it again") from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    if head.startswith(_ZIP_START):
        return _read_zip(file)
    if _LEGACY_NUMBER.to_bytes(10, "little") in head:
        return _read_legacy(io.BytesIO(file.read()))
    if head[_TAR_MAGIC_OFFSET:].startswith(_TAR_MAGIC):
        raise AlexNetError("is a tar archive of PyTorch 0.1; load it with PyTorch and save it again")
    raise AlexNetError("was not written by torch.save; save the model's state_dict() with it")


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        _check_entries(archive.infolist(), file.seek(0, io.SEEK_END))
        names = archive.namelist()
        root = next((name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")), None)
        if root is None:
            raise AlexNetError("is a zip archive, but not of torch.save; save the model's state_dict() with it")
        order = archive.read(f"{root}byteorder").decode() if f"{root}byteorder" in names else "little"
        value, _ = _unpickle(io.BytesIO(archive.read(f"{root}data.pkl")))
        return _arrays(value, lambda key: archive.read(f"{root}data/{key}"), order)


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    if any(entry.compress_type or entry.compress_size != entry.file_size for entry in entries):
        raise AlexNetError("is compressed, which torch.save never does; save the model's state_dict() with it")
    # Overlapping entries, or sizes beyond that of the file, could allocate any amount of memory.
    if sum(entry.file_size for entry in entries) > size:
        raise AlexNetError(_DAMAGED)


def _read_legacy(stream: BinaryIO) -> dict[str, np.ndarray]:
    (number, _), (version, _), _ = (_unpickle(stream) for _ in range(3))  # the third has machine properties
    if (number, version) != (_LEGACY_NUMBER, _LEGACY_VERSION):
        raise AlexNetError(_DAMAGED)
    value, storages = _unpickle(stream)
    keys, _ = _unpickle(stream)
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in storages for key in keys):
        raise AlexNetError(_DAMAGED)
    contents = {}
    for key in keys:
        storage = storages[key]
        size = storage.elements * storage.dtype.itemsize
        elements, contents[key] = int.from_bytes(stream.read(8), "little"), stream.read(size)
        if elements != storage.elements or len(contents[key]) != size:
            raise AlexNetError(_DAMAGED)
    return _arrays(value, contents.__getitem__, "little")


def _unpickle(stream: BinaryIO) -> tuple[Any, dict[str, _Storage]]:
    """The next value in ``stream``, and the storages that it refers to, by key."""
    storages: dict[str, _Storage] = {}

    def persistent(identity: Any) -> _Storage:
        kind, dtype, key, _, count, *view = identity
        storage = _Storage(dtype, key, count)
        is_valid = isinstance(dtype, np.dtype) and isinstance(key, str) and isinstance(count, int)
        is_valid = is_valid and kind == "storage" and view in ([], [None])
        if not is_valid or storages.setdefault(key, storage) != storage:
            raise AlexNetError(_DAMAGED)
        return storage

    return read_pickle(
        stream, _KNOWN, persistent, "torch.save", "save only tensors, the model's state_dict()"
    ), storages


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = None, hooks: Any = None, extra: Any = None
) -> _Tensor:
    """Stands for ``torch._utils._rebuild_tensor_v2``. The last three arguments do not affect the values."""
    is_valid = isinstance(storage, _Storage) and len(size) == len(stride) <= _MAX_AXES
    if not is_valid or not all(isinstance(number, int) and 0 <= number < 2**48 for number in (offset, *size, *stride)):
        raise AlexNetError(_DAMAGED)
    elements = math.prod(size)
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if elements > storage.elements or (elements and last >= storage.elements):
        raise AlexNetError(
            "has a tensor that is larger than its storage; download the file again, or save contiguous tensors"
        )
    return _Tensor(storage, offset, tuple(size), tuple(stride))


def _parameter(tensor: Any, requires_grad: Any = None, hooks: Any = None) -> Any:
    return tensor


_KNOWN = {
    "collections.OrderedDict": ordered_dict,
    "torch._utils._rebuild_tensor": _tensor,  # before PyTorch 0.4
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.nn.parameter.Parameter": _parameter,  # before PyTorch 0.4
    **{f"torch.{name}Storage": np.dtype(dtype) for name, dtype in _DTYPES.items()},
}


def _arrays(value: Any, content: Callable[[str], bytes], byte_order: str) -> dict[str, np.ndarray]:
    """The tensors of the unpickled ``value``. ``content`` returns the bytes of a storage by its key."""
    tensors = _state_dict(value)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    numbers = {key: _numbers(storage, content(key), byte_order) for key, storage in storages.items()}
    return {name: _array(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _state_dict(value: Any) -> dict[str, _Tensor]:
    entries = value if isinstance(value, dict) else {}
    for key in ("state_dict", "model"):
        if isinstance(entries.get(key), dict):
            entries = entries[key]
            break
    tensors: dict[str, _Tensor] = {}
    for full_name, tensor in entries.items():
        if isinstance(full_name, str) and isinstance(tensor, _Tensor):
            name = ".".join(part for part in full_name.split(".") if part != "module")
            if name in tensors:
                raise AlexNetError(f"has two tensors {printable(name)}, with and without module; keep one of them")
            tensors[name] = tensor
    if not tensors:
        raise AlexNetError("has no named tensors; save the model's state_dict()")
    return tensors


def _numbers(storage: _Storage, content: bytes, byte_order: str) -> np.ndarray:
    if len(content) != storage.elements * storage.dtype.itemsize or byte_order not in ("little", "big"):
        raise AlexNetError(_DAMAGED)
    numbers = np.frombuffer(content, storage.dtype)
    return numbers if byte_order == sys.byteorder else numbers.byteswap()


def _array(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    strides = [step * numbers.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.size, strides, writeable=False)
