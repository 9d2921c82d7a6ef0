"""Writes the reference values of PyTorch for the nets torchvision and single_tower.

    python torch_reference.py DIRECTORY

writes into DIRECTORY
    torchvision.npz               full-size forward, and a tiny net trained for five steps by torch.optim.SGD
    single_tower.npz              full-size forward
    tiny_torchvision.pth          the tiny net before training, saved by torch.save in its zip format
    tiny_torchvision_legacy.pth   the same in the format before PyTorch 1.6 (its bytes contain memory addresses,
                                  so they differ between runs; its tensors do not)
    tiny_torchvision.safetensors  the same as safetensors

The two nets differ only in their numbers of channels, so one tiny net with channels of its own stands for both.
The net is written out here with the state dict of torchvision's alexnet, so that torchvision is not needed.

Versions: Python 3.11.7, torch 2.13.0+cpu, numpy 2.4.6, safetensors 0.8.0. The environment:
    python3 -m venv torch311
    torch311/bin/pip install torch==2.13.0 numpy safetensors
    OMP_NUM_THREADS=1 nice -n 19 torch311/bin/python torch_reference.py DIRECTORY
"""

import os
import sys

import numpy as np
import safetensors.torch
import torch
from torch import nn

# The name of each layer in the state dict; then its outputs and the standard deviation of its kernel, sqrt(2 / fan_in)
# to four decimals.
PLACES = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "fc8": "classifier.6",
}
FULL = {
    "torchvision": {
        "batch": 2,
        "seed": 0,
        "layers": {
            "conv1": (64, 0.0742),
            "conv2": (192, 0.0354),
            "conv3": (384, 0.0340),
            "conv4": (256, 0.0241),
            "conv5": (256, 0.0295),
            "fc6": (4096, 0.0147),
            "fc7": (4096, 0.0221),
            "fc8": (1000, 0.0221),
        },
    },
    "single_tower": {
        "batch": 2,
        "seed": 0,
        "layers": {
            "conv1": (96, 0.0742),
            "conv2": (256, 0.0289),
            "conv3": (384, 0.0295),
            "conv4": (384, 0.0241),
            "conv5": (256, 0.0241),
            "fc6": (4096, 0.0147),
            "fc7": (4096, 0.0221),
            "fc8": (1000, 0.0221),
        },
    },
}
TINY = {
    "batch": 4,
    "seed": 1,
    "layers": {
        "conv1": (8, 0.0742),
        "conv2": (12, 0.1),
        "conv3": (16, 0.1361),
        "conv4": (12, 0.1179),
        "conv5": (8, 0.1361),
        "fc6": (16, 0.0833),
        "fc7": (16, 0.3536),
        "fc8": (10, 0.3536),
    },
}
PROBES = {
    "conv1": "features.1",
    "pool1": "features.2",
    "conv2": "features.4",
    "pool2": "features.5",
    "conv3": "features.7",
    "conv4": "features.9",
    "conv5": "features.11",
    "pool5": "features.12",
    "fc6": "classifier.2",
    "fc7": "classifier.5",
}
STEPS = 5


class AlexNet(nn.Module):
    """torchvision.models.AlexNet with any numbers of channels."""

    def __init__(self, layers, dropout=0.5):
        super().__init__()
        c1, c2, c3, c4, c5, f6, f7, f8 = (out for out, _ in layers.values())
        self.features = nn.Sequential(
            nn.Conv2d(3, c1, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(c1, c2, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(c2, c3, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c3, c4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c4, c5, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(c5 * 36, f6),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(f6, f7),
            nn.ReLU(),
            nn.Linear(f7, f8),
        )

    def forward(self, x):
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def fill(net, size):
    """Draws the parameters, then the pixels: one standard_normal call per array in float64, cast to float32."""
    rng = np.random.RandomState(size["seed"])
    with torch.no_grad():
        for layer, (_, stddev) in size["layers"].items():
            module = net.get_submodule(PLACES[layer])
            kernel = (stddev * rng.standard_normal(tuple(module.weight.shape))).astype(np.float32)
            bias = (0.1 * rng.standard_normal(tuple(module.bias.shape))).astype(np.float32)
            module.weight.copy_(torch.from_numpy(kernel))
            module.bias.copy_(torch.from_numpy(bias))
    return torch.from_numpy(rng.standard_normal((size["batch"], 3, 224, 224)).astype(np.float32))


def parameters(net, prefix, gradients=False):
    """Copies of all parameters or of their gradients, in PyTorch's memory format."""
    out = {}
    for layer, place in PLACES.items():
        module = net.get_submodule(place)
        for kind, value in (("kernel", module.weight), ("bias", module.bias)):
            out[f"{prefix}/{layer}/{kind}"] = (value.grad if gradients else value).detach().numpy().copy()
    return out


def probe(blob):
    """Mean, standard deviation, and the values at 16 evenly spaced positions of the flattened NCHW blob."""
    flat = blob.detach().numpy().ravel()
    positions = np.arange(16) * (flat.size - 1) // 15
    wide = flat.astype(np.float64)
    return {"stats": np.array([wide.mean(), wide.std()]), "positions": positions, "values": flat[positions]}


def full_forward(size):
    net = AlexNet(size["layers"]).eval()
    pixels = fill(net, size)
    out = {"full/pixels_head": pixels.numpy().ravel()[:8].copy()}
    for layer, place in PROBES.items():

        def keep(module, inputs, output, layer=layer):
            out.update({f"full/probe/{layer}/{key}": value for key, value in probe(output).items()})

        net.get_submodule(place).register_forward_hook(keep)
    with torch.no_grad():
        out["full/fc8"] = net(pixels).numpy()
    return out


def tiny_training():
    net = AlexNet(TINY["layers"], dropout=0.0).train()
    pixels = fill(net, TINY)
    labels = torch.arange(TINY["batch"]) % 10
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    out = {"tiny/pixels_head": pixels.numpy().ravel()[:8].copy()}
    losses = []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 0.01 if step < 3 else 0.001
        optimizer.zero_grad()
        logits = net(pixels)
        loss = nn.functional.cross_entropy(logits, labels)
        loss.backward()
        if step == 0:
            out["tiny/logits"] = logits.detach().numpy()
            out.update(parameters(net, "tiny/grad", gradients=True))
        losses.append(loss.item())  # before the update
        optimizer.step()
    out["tiny/losses"] = np.array(losses, np.float32)
    out["tiny/loss_after"] = np.float32(nn.functional.cross_entropy(net(pixels), labels).item())
    out.update(parameters(net, "tiny/after"))
    return out


def write_samples(folder):
    net = AlexNet(TINY["layers"])
    fill(net, TINY)
    state = net.state_dict()
    torch.save(state, os.path.join(folder, "tiny_torchvision.pth"))
    legacy = os.path.join(folder, "tiny_torchvision_legacy.pth")
    torch.save(state, legacy, _use_new_zipfile_serialization=False)
    with open(os.path.join(folder, "tiny_torchvision.safetensors"), "wb") as file:
        file.write(safetensors.torch.save(state))  # save_file would make the file readable by its owner only


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    for name, size in FULL.items():
        arrays = full_forward(size)
        if name == "torchvision":
            arrays.update(tiny_training())
        np.savez_compressed(os.path.join(folder, name + ".npz"), **arrays)
    write_samples(folder)


if __name__ == "__main__":
    main()
