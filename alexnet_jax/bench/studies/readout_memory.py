"""The memory of read-outs for more and more images: torchvision's whole net, seven layers, 256 pixels.

    uv run python -m alexnet_jax.bench.studies.readout_memory 500 1500 4000
    uv run python -m alexnet_jax.bench.studies.readout_memory 300 1200 --commands pca random_projection npz nearest

The net has initial weights, and the images are repeated photos in an HDF5 file. This prints the largest resident memory
of the process for each command and number of images. The files of features take up to 0.8 MB an image and are deleted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import h5py
import tyro
from PIL import Image

from alexnet_jax.bench.readout import initial_weights, photos
from alexnet_jax.variants import variant
from alexnet_jax.weights.safetensors import write_weights

_IMAGES = "stimuli.h5:/images"
_FEATURES = f"features net.safetensors {_IMAGES} --layers pool1 pool2 relu3 relu4 pool5 fc6 fc7"
COMMANDS = {
    "features": f"{_FEATURES} --out out.h5",
    "pca": f"{_FEATURES} --pca 20 --out out.h5",
    "random_projection": f"{_FEATURES} --random_projection 1000 --out out.h5",
    "npz": f"{_FEATURES} --out out.npz",
    "nearest": f"nearest net.safetensors {_IMAGES} query.png --out out.png",
}


@dataclass(frozen=True)
class Arguments:
    """Measure the memory of read-outs."""

    counts: Annotated[tuple[int, ...], tyro.conf.Positional]
    """Numbers of images."""
    commands: tuple[str, ...] = ("features",)
    """Some of features, pca, random_projection, npz and nearest."""


def main(arguments: Arguments) -> None:
    """Measures each command with each number of images."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        write_weights(initial_weights(variant("torchvision")), place / "net.safetensors", "alexnet_jax")
        pixels = photos(64, 256)
        Image.fromarray(pixels[7]).save(place / "query.png")
        for count in arguments.counts:
            with h5py.File(place / "stimuli.h5", "w") as file:
                images = file.create_dataset("images", (count, *pixels.shape[1:]), pixels.dtype)
                for row in range(0, count, len(pixels)):
                    images[row : row + len(pixels)] = pixels[: count - row]
            for name in arguments.commands:
                measure(name, count, place)


def measure(name: str, count: int, place: Path) -> None:
    """Runs the command ``name`` for ``count`` images, and prints its largest resident memory."""
    words = [sys.executable, "-m", "alexnet_jax", *COMMANDS[name].split()]
    start = time.monotonic()
    process = subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - start
    assert status == 0, status
    written = list(place.glob("out.*"))
    size = sum(file.stat().st_size for file in written)
    memory = f"{usage.ru_maxrss / 2**20:.2f} GiB at most"
    print(f"{name}, {count:,} images: {memory}, {seconds:.0f} s, files {size / 2**30:.2f} GiB", flush=True)
    for file in written:
        file.unlink()


if __name__ == "__main__":
    main(tyro.cli(Arguments))
