"""LPIPS in PyTorch, as users would write it, for ``alexnet bench lpips --against torch``.

    python torch_lpips_peer.py DIRECTORY

Its forms are the memory formats NCHW and channels_last, each eager and through ``torch.compile``. The net is frozen.
The gradient is that of the first images.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from alexnet_jax.bench.peer_programs.serve import layers, serve

MEMORY_FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


class Distance(nn.Module):
    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__()
        convs = layers(arrays, "channels_first")
        self.kernels = nn.ParameterList(torch.tensor(conv["kernel"]) for conv in convs.values())
        self.biases = nn.ParameterList(torch.tensor(conv["bias"]) for conv in convs.values())
        heads = (arrays[f"relu{number}"] for number in range(1, 6))
        self.heads = nn.ParameterList(torch.tensor(head).reshape(1, -1, 1, 1) for head in heads)
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).reshape(1, 3, 1, 1))
        self.requires_grad_(False)

    def features(self, images: Tensor) -> list[Tensor]:
        x, outputs = (2 * images - 1 - self.shift) / self.scale, []
        for index, (stride, padding) in enumerate(((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))):
            if index in (1, 2):
                x = functional.max_pool2d(x, 3, 2)
            x = functional.relu(functional.conv2d(x, self.kernels[index], self.biases[index], stride, padding))
            outputs.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
        return outputs

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        pairs = zip(self.heads, self.features(a), self.features(b), strict=True)
        return sum(functional.conv2d((one - other).square(), head).mean((1, 2, 3)) for head, one, other in pairs)


class Form:
    """The distance in one memory format. ``call`` is the module or its compiled form."""

    def __init__(self, call, a: Tensor, b: Tensor) -> None:
        self.call, self.a, self.b = call, a, b
        self.leaf = a.clone().requires_grad_(True)

    def logits(self) -> np.ndarray:
        with torch.inference_mode():
            return self.call(self.a, self.b).numpy()

    def forward(self) -> None:
        with torch.inference_mode():
            self.call(self.a, self.b)

    def gradient(self) -> None:
        self.leaf.grad = None
        self.call(self.leaf, self.b).mean().backward()


def make_forms(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    forms: dict[str, Any] = {}
    for name, memory_format in MEMORY_FORMATS.items():
        module = Distance(arrays).to(memory_format=memory_format)
        a, b = (
            torch.tensor(arrays[images]).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
            for images in ("images_a", "images_b")
        )
        forms[f"eager, {name}"] = Form(module, a, b)
        forms[f"compiled, {name}"] = Form(torch.compile(module), a, b)
    return forms


def main() -> None:
    with np.load(Path(sys.argv[1]) / "arrays.npz") as arrays:
        forms = make_forms(dict(arrays))
    serve(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", forms)


if __name__ == "__main__":
    main()
