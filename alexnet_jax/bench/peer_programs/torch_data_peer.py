"""Measures PyTorch's DataLoader on the images that ``alexnet bench data`` exports, and prints a line of JSON.

Needs torch and torchvision. JPEG files are read with torchvision's ImageFolder and PILToTensor, raw pixels from a
memory map. One thread is a DataLoader without workers, more threads are as many worker processes.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision import datasets, transforms


class RawImages(Dataset):
    def __init__(self, directory, size):
        self.labels = np.fromfile(directory / "labels.raw", np.int32)
        self.images = np.memmap(directory / "images.raw", np.uint8, "r", shape=(len(self.labels), size, size, 3))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return torch.from_numpy(np.array(self.images[index])), int(self.labels[index])


def cpu_seconds():
    """CPU time of this process and of the workers that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("stored", choices=["jpeg", "raw"])
    for name, kind in {"threads": int, "image_size": int, "batch_size": int, "seconds": float}.items():
        parser.add_argument(f"--{name}", type=kind, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.stored == "jpeg":
        images = datasets.ImageFolder(options.directory / "jpeg", transforms.PILToTensor())
    else:
        images = RawImages(options.directory, options.image_size)
    endless = RandomSampler(images, num_samples=1000 * len(images))
    workers = options.threads if options.threads > 1 else 0
    cpu_start = cpu_seconds()
    batches = iter(DataLoader(images, options.batch_size, sampler=endless, num_workers=workers, drop_last=True))
    warm_up = 2 * options.threads + 1
    for _ in range(warm_up):
        next(batches)
    count, start = 0, time.perf_counter()
    while time.perf_counter() < start + options.seconds:
        count += len(next(batches)[1])
    seconds = time.perf_counter() - start
    del batches  # ends the workers, whose CPU time is known only then
    cpu, read = cpu_seconds() - cpu_start, count + warm_up * options.batch_size
    print(json.dumps({"images_per_second": count / seconds, "images_per_cpu_second": read / cpu}))


if __name__ == "__main__":
    main()
