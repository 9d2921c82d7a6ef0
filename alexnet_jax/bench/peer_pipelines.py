"""tf.data and PyTorch's DataLoader as pipelines to measure, each in a separate process."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from alexnet_jax.bench.throughput import Pipeline, Throughput
from alexnet_jax.data.source import Source
from alexnet_jax.errors import AlexNetError, exception_line, first_line
from alexnet_jax.resources import usable_cpus

_PROGRAMS = Path(__file__).parent / "peer_programs"
_FIND_MISSING = (
    "import importlib.util, sys; print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))"
)


@dataclass(frozen=True)
class DataPeer:
    """An input pipeline of another library.

    Attributes:
        name: its name in the table.
        packages: the packages that its program imports.
        program: the program's file name.
    """

    name: str
    packages: tuple[str, ...]
    program: str


DATA_PEERS = {
    "tensorflow": DataPeer("tf.data", ("tensorflow",), "tf_data_peer.py"),
    "torch": DataPeer("torch DataLoader", ("torch", "torchvision"), "torch_data_peer.py"),
}
"""By the library whose interpreter the user can choose."""


@dataclass(frozen=True)
class MissingPeer:
    """A peer that is not measured, because its interpreter lacks packages.

    Attributes:
        library: its key in ``DATA_PEERS``.
        pipeline: its name in the table.
        python: the interpreter.
        packages: the packages that it lacks.
    """

    library: str
    pipeline: str
    python: str
    packages: tuple[str, ...]


def find_missing_peers(pythons: dict[str, str]) -> list[MissingPeer]:
    """The peers whose packages are not installed.

    Args:
        pythons: the interpreter of each library in ``DATA_PEERS``.

    Raises:
        AlexNetError: an interpreter cannot be run.
    """
    missing = []
    for library, peer in DATA_PEERS.items():
        packages = tuple(run_peer([pythons[library], "-c", _FIND_MISSING, *peer.packages]).split())
        if packages:
            missing.append(MissingPeer(library, peer.name, pythons[library], packages))
    return missing


def peer_pipelines(
    pythons: dict[str, str], directory: Path, image_size: int, batch_size: int, seconds: float
) -> list[Pipeline]:
    """The peers' pipelines, for JPEG files and for raw pixels, each with one thread and with one per core.

    Args:
        pythons: the interpreter of each library to measure, by its key in ``DATA_PEERS``.
        directory: where ``export_images`` has written the images.
        image_size: side of the images in pixels.
        batch_size: images in a batch.
        seconds: the seconds to measure each.
    """
    options = [f"--image_size={image_size}", f"--batch_size={batch_size}", f"--seconds={seconds}"]
    pipelines = []
    for library, python in pythons.items():
        peer = DATA_PEERS[library]
        for stored in ("jpeg", "raw"):
            for threads in sorted({1, usable_cpus()}):
                program = str(_PROGRAMS / peer.program)
                command = [python, program, str(directory), stored, f"--threads={threads}", *options]
                pipelines.append(Pipeline(peer.name, stored, threads, partial(_throughput, command)))
    return pipelines


def _throughput(command: list[str]) -> Throughput:
    return Throughput(**json.loads(run_peer(command).splitlines()[-1]))


def run_peer(command: list[str]) -> str:
    """The standard output of ``command``. Raises AlexNetError with the line of its exception if it fails."""
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise AlexNetError(f"{command[0]}: cannot be run ({error.strerror or first_line(error)})") from error
    if result.returncode != 0:
        raise AlexNetError(f"{command[0]}: {exception_line(result.stderr, f'exit status {result.returncode}')}")
    return result.stdout


def export_images(source: Source, count: int, directory: Path) -> None:
    """Writes images in the formats that the peers read.

    Args:
        source: where the images come from.
        count: the number of images to write, from the first on.
        directory: where to write. ``jpeg/`` gets a class directory of JPEG files of quality 95 for each label,
            ``images.raw`` the pixels, and ``labels.raw`` the labels, int32.
    """
    labels = []
    with (directory / "images.raw").open("wb") as raw:
        for index in range(min(count, len(source))):
            example = source[index]
            raw.write(example["image"].tobytes())
            labels.append(example["label"])
            file = directory / "jpeg" / f"{example['label']:04}" / f"{index:06}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(example["image"]).save(file, quality=95)
    np.array(labels, np.int32).tofile(directory / "labels.raw")
