"""The memory of ``alexnet features`` for more and more images: torchvision's whole net, seven layers, 256 pixels.

    uv run python experiments/readout_memory.py 500 1000 2000

The net has initial weights, and the images are repeated photos in an HDF5 file. This prints the largest resident memory
of the process for each number of images. The files of features take 0.8 MB an image and are deleted.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py

from alexnet_jax.bench.readout import initial_weights, photos
from alexnet_jax.variants import variant
from alexnet_jax.weights.safetensors import write_weights

LAYERS = ("pool1", "pool2", "relu3", "relu4", "pool5", "fc6", "fc7")


def main(counts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        write_weights(initial_weights(variant("torchvision")), place / "net.safetensors", "alexnet_jax")
        pixels = photos(64, 256)
        for count in counts:
            with h5py.File(place / "stimuli.h5", "w") as file:
                images = file.create_dataset("images", (count, *pixels.shape[1:]), pixels.dtype)
                for row in range(0, count, len(pixels)):
                    images[row : row + len(pixels)] = pixels[: count - row]
            words = ["features", "net.safetensors", "stimuli.h5:/images", "--layers", *LAYERS, "--out", "features.h5"]
            start = time.monotonic()
            process = subprocess.Popen([sys.executable, "-m", "alexnet_jax", *words], cwd=place, stdout=subprocess.PIPE)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - start
            assert status == 0, status
            size = (place / "features.h5").stat().st_size
            memory = f"{usage.ru_maxrss / 2**20:.2f} GiB at most"
            print(f"{count:,} images: {memory}, {seconds:.0f} s, file {size / 2**30:.2f} GiB", flush=True)
            (place / "features.h5").unlink()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
