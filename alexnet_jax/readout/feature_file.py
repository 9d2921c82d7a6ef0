"""Files of features: HDF5, NumPy's .npz and MATLAB's .mat, with an array for each layer and an order file."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from alexnet_jax.data.image_array import HDF5_SUFFIXES, open_hdf5
from alexnet_jax.errors import AlexNetError, UsageError, first_line, printable
from alexnet_jax.files import replace_file
from alexnet_jax.readout.draft import Draft, Facts
from alexnet_jax.stores.fetch import local
from alexnet_jax.stores.store import Store, url_of

FACTS = "readout"
"""The attribute or the array that holds the facts of a read-out."""

_MOST_BYTES = {".npz": 2**32, ".mat": 2**30}
"""The largest arrays of all layers together in .npz, and of one layer in .mat, which is copied in memory."""
FEATURE_SUFFIXES = (*HDF5_SUFFIXES, *_MOST_BYTES)
"""The suffixes of files of features."""

_ORDER = ".order.txt"
_FLOAT_BYTES = 4
_BLOCK_ROWS = 64


def check_format(out: Path, shapes: Mapping[str, tuple[int, ...]], count: int) -> None:
    """Checks that the file of features can be written.

    Args:
        out: the file.
        shapes: the shape of a row of each array.
        count: the number of rows.

    Raises:
        UsageError: the suffix is unknown, the directory does not exist, or the arrays are too large for the format.
    """
    if out.suffix not in FEATURE_SUFFIXES:
        raise UsageError(f"--out is {out}: unknown format; name a file ending in .h5, .npz or .mat")
    if not out.parent.is_dir():
        raise UsageError(f"--out is {out}: there is no directory {out.parent}")
    if out.is_dir():
        raise UsageError(f"--out is {out}: is a directory; name a file")
    if out.suffix in HDF5_SUFFIXES:
        return
    sizes = {name: _FLOAT_BYTES * count * math.prod(shape) for name, shape in shapes.items()}
    what, size = max(sizes.items(), key=lambda item: item[1])
    if out.suffix == ".npz":
        what, size = "all layers together", sum(sizes.values())
    most = _MOST_BYTES[out.suffix]
    if size > most:
        raise UsageError(
            f"--out is {out}: {what} would take {size / 2**30:,.1f} GiB, and this command writes at most "
            f"{most / 2**30:.0f} GiB to {out.suffix}; name a .h5 file, or use --spatial_mean, --random_projection or "
            "fewer layers"
        )


def local_features(path: Path) -> Path:
    """``path``, or for a URL a copy in the user's cache, with its order file if it has one."""
    url = url_of(path)
    if url is None:
        return path
    copy = local(url)
    order = Store(f"{url}{_ORDER}").read("")
    if order is not None:
        replace_file(order_file(copy), order)
    return copy


def order_file(out: Path) -> Path:
    """The file beside ``out`` with the name of the image of each row."""
    return out.with_name(f"{out.name}{_ORDER}")


def write_order(out: Path, names: Sequence[str]) -> None:
    """Writes the order file: a line for each row."""
    lines = (name if name.isprintable() else name.encode("unicode_escape").decode() for name in names)
    replace_file(order_file(out), ("\n".join(lines) + "\n").encode(errors="surrogateescape"))


def finish(draft: Draft, out: Path, names: Sequence[str], facts: Facts) -> None:
    """Turns a draft with all its rows into the file of features."""
    if out.suffix in HDF5_SUFFIXES:
        draft.become(out)
        return
    draft.commit()
    temporary = out.with_name(f".{out.name}.new{out.suffix}")
    try:
        if out.suffix == ".npz":
            _write_npz(temporary, {name: draft.dataset(name) for name in names}, facts)
        else:
            from scipy.io import savemat

            variables = {matlab_name(name): draft.mapped(name) for name in names}
            savemat(temporary, {FACTS: json.dumps(facts), **variables})
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    draft.discard()


def _write_npz(path: Path, datasets: Mapping[str, Any], facts: Facts) -> None:
    """As ``np.savez`` does, but block by block: it would need the arrays in memory."""
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open(f"{FACTS}.npy", "w") as member:
            np.lib.format.write_array(member, np.array(json.dumps(facts)), allow_pickle=False)
        for name, data in datasets.items():
            header = {"descr": "<f4", "fortran_order": False, "shape": data.shape}
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array_header_1_0(member, header)
                for start in range(0, len(data), _BLOCK_ROWS):
                    member.write(data[start : start + _BLOCK_ROWS].tobytes())


def matlab_name(layer: str) -> str:
    """A layer's name as a variable of MATLAB, whose names have no dots."""
    return layer.replace(".", "_")


@dataclass(frozen=True)
class FeatureFile:
    """A file of features.

    Attributes:
        path: the file.
        layers: the arrays by layer, (images, ...). Those of HDF5 files are read when they are sliced.
        facts: what is known about the read-out; empty for a file of another program.
        order: the name of the image of each row; empty if there is no order file.
    """

    path: Path
    layers: dict[str, Any]
    facts: Facts
    order: tuple[str, ...]

    @property
    def count(self) -> int:
        """The number of images."""
        return len(next(iter(self.layers.values())))

    def name(self, row: int) -> str:
        """The name of the image of a row, or the row if the name is not known."""
        return self.order[row] if self.order else f"row {row}"


def open_features(path: Path) -> FeatureFile:
    """Opens a file of features, of this project or of another program.

    Args:
        path: an HDF5, .npz or .mat file with an array of numbers (images, ...) for each layer.

    Raises:
        AlexNetError: the file cannot be read, its arrays are not features of the same images, or its order file has
            another number of rows.
        UsageError: the suffix is unknown.
    """
    if path.suffix not in FEATURE_SUFFIXES:
        raise UsageError(f"{path}: unknown format; name a file of features, which ends in .h5, .npz or .mat")
    arrays, facts = _read(path)
    order = [matlab_name(name) if path.suffix == ".mat" else name for name in facts.get("layers", {})]
    names = sorted(arrays, key=lambda name: order.index(name) if name in order else len(order))
    layers = {name: arrays[name] for name in names if _is_features(arrays[name])}
    if not layers:
        raise AlexNetError(f"{path}: has no arrays of features (images, ...); write some with `alexnet features`")
    counts = {len(array) for array in layers.values()}
    if len(counts) > 1:
        raise AlexNetError(f"{path}: its arrays have {' and '.join(map(str, sorted(counts)))} rows; use one order")
    return FeatureFile(path, layers, facts, _read_order(path, counts.pop()))


def read_facts(path: Path) -> Facts:
    """The facts of a file of features, or an empty dict if it holds none."""
    try:
        return _read(path)[1]
    except AlexNetError:
        return {}


def _is_features(array: Any) -> bool:
    return array.ndim >= 2 and len(array) > 0 and np.issubdtype(array.dtype, np.floating)


def _read(path: Path) -> tuple[dict[str, Any], Facts]:
    if path.suffix in HDF5_SUFFIXES:
        import h5py

        opened = open_hdf5(path)
        found: dict[str, Any] = {}
        opened.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        return found, _parse(opened.attrs.get(FACTS))
    if not path.is_file():
        raise AlexNetError(f"{path}: no such file; write it with `alexnet features`")
    try:
        with path.open("rb") as file:  # NumPy would leave a damaged file open
            content = _load_npz(file) if path.suffix == ".npz" else _load_mat(file)
    except MemoryError:
        raise
    except Exception as error:  # the parsers of NumPy and SciPy raise many types
        raise AlexNetError(f"{path}: cannot be read ({first_line(error)}); write it again") from error
    facts = content.pop(FACTS, None)
    return content, _parse(None if facts is None or facts.size != 1 else facts.item())


def _load_npz(file: BinaryIO) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _load_mat(file: BinaryIO) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    return {name: np.asarray(array) for name, array in loadmat(file).items() if not name.startswith("__")}


def _parse(text: Any) -> Facts:
    try:
        facts = json.loads(text)
    except (TypeError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _read_order(path: Path, count: int) -> tuple[str, ...]:
    file = order_file(path)
    if not file.is_file():
        return ()
    lines = file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    if len(lines) != count:
        raise AlexNetError(f"{file}: has {len(lines):,} lines for {count:,} rows; restore it or remove it")
    return tuple(map(printable, lines))
