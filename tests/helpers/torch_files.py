"""Writes files in the formats of ``torch.save``, without PyTorch."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict


class Global:
    """Pickles as a global of another module. Its calls pickle as calls of that global."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments

    def __call__(self, *arguments):
        return Global(self.module, self.name, *arguments)


class Stored:
    """Pickles as the persistent id of a PyTorch storage."""

    def __init__(self, kind, key, elements):
        self.identity = ("storage", Global("torch", f"{kind}Storage"), key, "cpu", elements)


class TorchPickler(pickle._Pickler):
    """Python's pickler, which can also write names that cannot be imported here."""

    def persistent_id(self, value):
        return value.identity if isinstance(value, Stored) else None

    def save(self, value, save_persistent_id=True):
        if not isinstance(value, Global):
            return super().save(value, save_persistent_id)  # type: ignore[misc]  # typeshed does not have it
        self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        if value.arguments:
            super().save(value.arguments)  # type: ignore[misc]
            self.write(pickle.REDUCE)
        return None


REBUILD = Global("torch._utils", "_rebuild_tensor_v2")


def tensor(storage, offset, size, stride):
    return REBUILD(storage, offset, size, stride, False, OrderedDict())


def pickled(value):
    stream = io.BytesIO()
    TorchPickler(stream, 2).dump(value)
    return stream.getvalue()


def zipped(path, value, storages, compression=zipfile.ZIP_STORED, order="little"):
    content = value if isinstance(value, bytes) else pickled(value)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("net/data.pkl", content)
        archive.writestr("net/byteorder", order)
        for key, numbers in storages.items():
            archive.writestr(f"net/data/{key}", numbers)
    return path


def legacy(path, value, keys, storages):
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, value, keys]
    with path.open("wb") as file:
        file.write(b"".join(pickled(part) for part in parts))
        for numbers in storages:
            file.write(struct.pack("<q", len(numbers)) + numbers.tobytes())
    return path
