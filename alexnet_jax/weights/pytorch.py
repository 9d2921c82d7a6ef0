"""Tensors out of the files of ``torch.save``, without PyTorch and without running anything that a file holds.

A file is a zip archive (``NAME/data.pkl``, ``NAME/data/KEY``) or, before PyTorch 1.6, a row of pickles with the
storages behind them. Either way a pickle describes tensors as windows on storages, which lie elsewhere as raw numbers.
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
from alexnet_jax.weights.pickles import ordered_dict, read_pickle

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
_LEGACY_NUMBER = 0x1950A86A20F9469CFC6C  # the first two pickles of the older format
_LEGACY_VERSION = 1001
_HEAD = 512  # bytes: they hold that number, and a tar archive's mark
_TAR_MARK = b"ustar"  # at byte 257 of a tar archive

_MOST_AXES = 64  # of a NumPy array
_DAMAGED = "is damaged, or torch.save did not write it; fetch it again"


class _Storage(NamedTuple):
    dtype: np.dtype
    key: str
    elements: int


class _Tensor(NamedTuple):
    """A window on a storage; offset and stride count its elements."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def read_state_dict(path: Path) -> dict[str, np.ndarray]:
    """The tensors in the PyTorch file ``path`` by name, as read-only arrays of the dtypes that they are stored in.

    Takes a state dict, or a training checkpoint that has one under "state_dict" or "model". The part ``module`` of a
    name, which DataParallel adds, is left out.

    Raises AlexNetError where the file is not one of PyTorch's, is damaged, or holds more than tensors and plain values.
    """
    try:
        with path.open("rb") as file:
            return _read(file)
    except AlexNetError as error:
        raise AlexNetError(f"{path.name}: {error}") from error
    except OSError as error:
        raise AlexNetError(f"{path.name}: cannot be read ({error.strerror or first_line(error)})") from error
    # what zipfile makes of a damaged archive has no common class
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        struct.error,
    ) as error:
        raise AlexNetError(f"{path.name}: is damaged ({first_line(error)}); fetch it again") from error


def _read(file: BinaryIO) -> dict[str, np.ndarray]:
    head = file.read(_HEAD)
    file.seek(0)
    if head.startswith(_ZIP_START):
        return _read_zip(file)
    if _LEGACY_NUMBER.to_bytes(10, "little") in head:
        return _read_legacy(io.BytesIO(file.read()))
    if head[257:].startswith(_TAR_MARK):
        raise AlexNetError("is a tar archive, as the first PyTorch wrote; load and save it with a newer one")
    raise AlexNetError("is not a file of torch.save; save the model's state_dict() with it")


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(file) as archive:
        _check_entries(archive.infolist(), file.seek(0, io.SEEK_END))
        names = archive.namelist()
        root = next((name.removesuffix("data.pkl") for name in names if name.endswith("/data.pkl")), None)
        if root is None:
            raise AlexNetError("is a zip archive that torch.save did not write; save the model's state_dict() with it")
        order = archive.read(f"{root}byteorder").decode() if f"{root}byteorder" in names else "little"
        value, _ = _unpickle(io.BytesIO(archive.read(f"{root}data.pkl")))
        return _arrays(value, lambda key: archive.read(f"{root}data/{key}"), order)


def _check_entries(entries: list[zipfile.ZipInfo], size: int) -> None:
    if any(entry.compress_type or entry.compress_size != entry.file_size for entry in entries):
        raise AlexNetError("is compressed, and torch.save does not compress; save the model's state_dict() with it")
    # entries that overlap, or promise more than the file has, could ask for any amount of memory
    if sum(entry.file_size for entry in entries) > size:
        raise AlexNetError(_DAMAGED)


def _read_legacy(stream: BinaryIO) -> dict[str, np.ndarray]:
    (number, _), (version, _), _ = (_unpickle(stream) for _ in range(3))  # the third describes the machine
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
    """The next value in ``stream`` and the storages that it names, by their keys."""
    storages: dict[str, _Storage] = {}

    def persistent(identity: Any) -> _Storage:
        kind, dtype, key, _, count, *view = identity
        storage = _Storage(dtype, key, count)
        sound = isinstance(dtype, np.dtype) and isinstance(key, str) and isinstance(count, int) and view in ([], [None])
        if kind != "storage" or not sound or storages.setdefault(key, storage) != storage:
            raise AlexNetError(_DAMAGED)
        return storage

    return read_pickle(stream, _KNOWN, persistent), storages


def _tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = None, hooks: Any = None, extra: Any = None
) -> _Tensor:
    """What stands for ``torch._utils._rebuild_tensor_v2``; its last arguments say nothing about the numbers."""
    sound = isinstance(storage, _Storage) and len(size) == len(stride) <= _MOST_AXES
    if not sound or not all(isinstance(number, int) and 0 <= number < 2**48 for number in (offset, *size, *stride)):
        raise AlexNetError(_DAMAGED)
    elements = math.prod(size)
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if elements > storage.elements or (elements and last >= storage.elements):
        raise AlexNetError(
            "holds a tensor that its storage does not fill; fetch the file again, or save contiguous tensors"
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
    """The tensors of the unpickled ``value``, given how to get the bytes of a storage by its key."""
    tensors = _state_dict(value)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    numbers = {key: _numbers(storage, content(key), byte_order) for key, storage in storages.items()}
    return {name: _array(tensor, numbers[tensor.storage.key]) for name, tensor in tensors.items()}


def _state_dict(value: Any) -> dict[str, _Tensor]:
    entries = value if isinstance(value, dict) else {}
    for place in ("state_dict", "model"):
        if isinstance(entries.get(place), dict):
            entries = entries[place]
            break
    tensors: dict[str, _Tensor] = {}
    for full_name, tensor in entries.items():
        if isinstance(full_name, str) and isinstance(tensor, _Tensor):
            name = ".".join(part for part in full_name.split(".") if part != "module")
            if name in tensors:
                raise AlexNetError(f"has two tensors {printable(name)}, with and without module; save one of them")
            tensors[name] = tensor
    if not tensors:
        raise AlexNetError("holds no tensors by name; save the model's state_dict()")
    return tensors


def _numbers(storage: _Storage, content: bytes, byte_order: str) -> np.ndarray:
    if len(content) != storage.elements * storage.dtype.itemsize or byte_order not in ("little", "big"):
        raise AlexNetError(_DAMAGED)
    numbers = np.frombuffer(content, storage.dtype)
    return numbers if byte_order == sys.byteorder else numbers.byteswap()


def _array(tensor: _Tensor, numbers: np.ndarray) -> np.ndarray:
    strides = [step * numbers.itemsize for step in tensor.stride]
    return np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.size, strides, writeable=False)
