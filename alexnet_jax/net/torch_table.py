"""The layer table of a net as the Python package torchsummary prints it for PyTorch."""

from __future__ import annotations

import math
from collections.abc import Iterator

from alexnet_jax.config import ConvConfig, Layer, ModelConfig
from alexnet_jax.net.summary import BYTES_PER_FLOAT, Summary, summarize_model

_MODULES = {
    "conv": "Conv2d",
    "dense": "Linear",
    "classifier": "Linear",
    "dropout": "Dropout",
    "relu": "ReLU",
    "tanh": "Tanh",
    "local_response_norm": "LocalResponseNorm",
    "spatial_response_norm": "SpatialResponseNorm",
    "batch_norm": "BatchNorm2d",
    "max_pool": "MaxPool2d",
    "average_pool": "AvgPool2d",
}
_WIDTH = 64


def torch_table(config: ModelConfig, last_layer: str | None = None) -> str:
    """The modules with their output shapes and parameters, and the memory for one image in MiB, which it calls MB.

    Nets with dropout before the dense layers are torchvision's, and have its AdaptiveAvgPool2d, which changes nothing
    at the net's own image size. PyTorch has no module for locally connected layers and for normalisation over pixels;
    their rows have this project's names.

    Args:
        config: the net.
        last_layer: where the table ends, if the net is not whole.
    """
    summary = summarize_model(config, last_layer)
    modules = list(_modules(config, summary))
    outputs = sum(math.prod(shape) for _, shape, _ in modules)
    sizes = (
        BYTES_PER_FLOAT * math.prod(summary.input_shape) / 2**20,
        2 * BYTES_PER_FLOAT * outputs / 2**20,
        BYTES_PER_FLOAT * summary.parameters / 2**20,
    )
    names = ("Input size", "Forward/backward pass size", "Params size", "Estimated Total Size")
    return "\n".join(
        (
            "-" * _WIDTH,
            f"{'Layer (type)':>20}  {'Output Shape':>25} {'Param #':>15}",
            "=" * _WIDTH,
            *(
                f"{f'{name}-{number}':>20}  {[-1, *shape]!s:>25} {parameters:>15,}"
                for number, (name, shape, parameters) in enumerate(modules, start=1)
            ),
            "=" * _WIDTH,
            f"Total params: {summary.parameters:,}",
            f"Trainable params: {summary.parameters:,}",
            "Non-trainable params: 0",
            "-" * _WIDTH,
            *(f"{name} (MB): {size:.2f}" for name, size in zip(names, (*sizes, sum(sizes)), strict=True)),
            "-" * _WIDTH,
        )
    )


def _modules(config: ModelConfig, summary: Summary) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """The type, the output shape with the channels first, and the parameters of each module."""
    is_flat = False
    image: tuple[int, ...] = ()
    for layer, row in zip(config.layers(), summary.rows, strict=False):  # the table can end earlier
        if layer.operation in ("dropout", "dense", "classifier") and not is_flat:
            is_flat = True
            if config.dropout.place == "before":
                yield "AdaptiveAvgPool2d", image, 0
        image = (math.prod(row.shape),) if is_flat else (row.shape[-1], *row.shape[:-1])
        yield _module(layer), image, row.parameters


def _module(layer: Layer) -> str:
    if isinstance(layer.config, ConvConfig) and not layer.config.shared_kernel:
        return "LocallyConnected2d"
    return _MODULES[layer.operation]
