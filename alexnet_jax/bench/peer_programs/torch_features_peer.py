"""Reads features in PyTorch with forward hooks, and prints a line of JSON, for ``alexnet bench features``.

    python torch_features_peer.py DIRECTORY FORM

DIRECTORY has ``images.h5`` with the array images, ``weights.npz`` with torchvision's names, and ``task.json``: modules,
layers, crop, mean, stddev and batch_size. FORM is a memory format, NCHW or channels_last. Needs torch and h5py.
"""

import json
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def module(kind, options):
    if kind == "flatten":
        return nn.Flatten()
    return getattr(nn, kind)(*options["positional"], **options["named"])


def make_net(task, weights):
    net = nn.Sequential()
    for name, kind, options in task["modules"]:
        net.add_module(name, module(kind, options))
    state = {name: torch.from_numpy(array) for name, array in weights.items()}
    net.load_state_dict(state)
    return net.eval()


class Hooks:
    """Keeps the outputs of the named modules, as users of forward hooks do."""

    def __init__(self, net, names):
        self.outputs = {}
        modules = dict(net.named_children())
        for name in names:
            modules[name].register_forward_hook(self.keep(name))

    def keep(self, name):
        def hook(module, inputs, output):
            self.outputs[name] = output

        return hook


def read(net, hooks, images, task, memory_format, out):
    """The seconds and the CPU seconds that the whole read-out takes."""
    mean, stddev = (torch.tensor(task[name]).reshape(1, 3, 1, 1) for name in ("mean", "stddev"))
    crop, batch_size, count = task["crop"], task["batch_size"], len(images)
    first = (images.shape[1] - crop) // 2
    start, cpu_start = time.perf_counter(), time.process_time()
    with h5py.File(out, "w") as file, torch.inference_mode():
        for row in range(0, count, batch_size):
            pixels = torch.from_numpy(images[row : row + batch_size]).permute(0, 3, 1, 2)
            pixels = pixels[:, :, first : first + crop, first : first + crop].float()
            net(((pixels - mean) / stddev).contiguous(memory_format=memory_format))
            for name, output in hooks.outputs.items():
                if row == 0:
                    file.create_dataset(name, (count, *output.shape[1:]), np.float32)
                file[name][row : row + batch_size] = output.contiguous().numpy()
    return time.perf_counter() - start, time.process_time() - cpu_start


def main():
    directory, form = Path(sys.argv[1]), sys.argv[2]
    task = json.loads((directory / "task.json").read_text())
    with np.load(directory / "weights.npz") as weights:
        net = make_net(task, weights).to(memory_format=FORMATS[form])
    hooks = Hooks(net, task["layers"])
    with h5py.File(directory / "images.h5") as file:
        images = file["images"]
        read(net, hooks, images[: task["batch_size"]], task, FORMATS[form], directory / "warm_up.h5")
        seconds, cpu = read(net, hooks, images, task, FORMATS[form], directory / f"torch_{form}.h5")
        print(json.dumps({"images_per_second": len(images) / seconds, "images_per_cpu_second": len(images) / cpu}))


if __name__ == "__main__":
    main()
