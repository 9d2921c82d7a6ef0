"""The net in PyTorch, as users would write it, for ``alexnet bench --against torch``.

    python torch_peer.py DIRECTORY

Its forms are the memory formats NCHW and channels_last, each eager and through ``torch.compile``. Tested with torch
2.15.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from alexnet_jax.bench.peer_programs.serve import layers, read_task, serve
from alexnet_jax.config import ConvConfig, TrainConfig
from alexnet_jax.config.windows import window_padding

MEMORY_FORMATS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


class Net(nn.Module):
    """The net, with kernels as (out, in, height, width)."""

    def __init__(self, config: TrainConfig, arrays: dict[str, dict[str, np.ndarray]]) -> None:
        super().__init__()
        self.config = config.model
        self.is_bfloat16 = config.dtype == "bfloat16"
        self.kernels = nn.ParameterDict({name: torch.tensor(layer["kernel"]) for name, layer in arrays.items()})
        self.biases = nn.ParameterDict({name: torch.tensor(layer["bias"]) for name, layer in arrays.items()})

    def forward(self, x: Tensor, train: bool) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.is_bfloat16):
            return self.logits(x, train).float()

    def logits(self, x: Tensor, train: bool) -> Tensor:
        for number, conv in enumerate(self.config.convs, start=1):
            x = self.convolve(x, f"conv{number}", conv)
            for operation in conv.then:
                x = self.operate(operation, x)
        x = x.flatten(1)
        *hidden, head = self.config.dense_names
        for name in hidden:
            if self.config.dropout.place == "before":
                x = self.dropout(x, train)
            x = functional.relu(self.dense(x, name))
            if self.config.dropout.place == "after":
                x = self.dropout(x, train)
        return self.dense(x, head)

    def convolve(self, x: Tensor, name: str, conv: ConvConfig) -> Tensor:
        before, after = window_padding(x.shape[-1], conv.kernel_size, conv.stride, conv.padding, conv.rounding)
        if after > before:  # the last window extends past the bottom and right edges
            x = functional.pad(x, (0, after - before, 0, after - before))
        return functional.conv2d(
            x, self.kernels[name], self.biases[name], stride=conv.stride, padding=conv.padding, groups=conv.groups
        )

    def dense(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x, self.kernels[name], self.biases[name])

    def operate(self, operation: str, x: Tensor) -> Tensor:
        if operation == "relu":
            return functional.relu(x)
        if operation == "tanh":
            return torch.tanh(x)
        if operation == "max_pool":
            pool = self.config.max_pool
            return functional.max_pool2d(x, pool.size, pool.stride, ceil_mode=pool.rounding == "up")
        if operation == "spatial_response_norm":
            norm = self.config.spatial_response_norm
            squares = functional.avg_pool2d(x * x, norm.size, stride=1, padding=norm.size // 2)
            return x / (norm.k + norm.alpha * squares) ** norm.beta
        return self.local_response_norm(x)

    def local_response_norm(self, x: Tensor) -> Tensor:
        """PyTorch divides alpha by the window's size, and has no towers."""
        norm = self.config.local_response_norm
        alpha = norm.alpha if norm.divide_alpha else norm.alpha * norm.size
        parts = x.chunk(1 if norm.across_towers else self.config.towers, 1)
        normalised = [functional.local_response_norm(part, norm.size, alpha, norm.beta, norm.k) for part in parts]
        return torch.cat(normalised, 1) if len(normalised) > 1 else normalised[0]

    def dropout(self, x: Tensor, train: bool) -> Tensor:
        dropout = self.config.dropout
        dropped = functional.dropout(x, dropout.rate, training=train)
        return dropped * (1.0 - dropout.rate) if dropout.scaled_in == "test" else dropped


class Form:
    """The net with its images in one memory format. ``call`` is the net or its compiled form."""

    def __init__(self, net: Net, call, images: Tensor, labels: Tensor, config: TrainConfig) -> None:
        self.net, self.call, self.images, self.labels = net, call, images, labels
        rule = config.optimizer
        self.optimizer = torch.optim.SGD(
            [
                {"params": list(net.kernels.values()), "weight_decay": rule.weight_decay},
                {"params": list(net.biases.values()), "weight_decay": rule.bias_decay},
            ],
            lr=rule.learning_rate,
            momentum=rule.momentum,
            fused=True,  # its fastest implementation
        )

    def logits(self) -> np.ndarray:
        with torch.inference_mode():
            return self.call(self.images, False).numpy()

    def forward(self) -> None:
        with torch.inference_mode():
            self.call(self.images, False)

    def gradient(self) -> None:
        self.optimizer.zero_grad()
        functional.cross_entropy(self.call(self.images, True), self.labels).backward()

    def train(self) -> None:
        self.gradient()
        self.optimizer.step()


def make_forms(config: TrainConfig, arrays: dict[str, np.ndarray]) -> dict[str, Form]:
    images = torch.tensor(arrays["images"]).permute(0, 3, 1, 2)
    labels = torch.tensor(arrays["labels"]).long()
    forms = {}
    for name, memory_format in MEMORY_FORMATS.items():
        net = Net(config, layers(arrays, "channels_first")).to(memory_format=memory_format)
        formatted = images.contiguous(memory_format=memory_format)
        forms[f"eager, {name}"] = Form(net, net, formatted, labels, config)
        forms[f"compiled, {name}"] = Form(net, torch.compile(net), formatted, labels, config)
    return forms


def main() -> None:
    forms = make_forms(*read_task(sys.argv[1]))
    serve(f"PyTorch {torch.__version__}, {torch.get_num_threads()} threads", forms)


if __name__ == "__main__":
    main()
