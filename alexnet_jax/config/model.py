"""The config of a net: its layers in order, and the constants that they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from alexnet_jax.config.checks import check, check_finite, check_positive, make_lists_tuples
from alexnet_jax.config.layers import (
    AveragePool,
    BatchNorm,
    ConvConfig,
    DenseConfig,
    Dropout,
    LocalResponseNorm,
    MaxPool,
    Operation,
    SpatialResponseNorm,
)
from alexnet_jax.config.types import check_types
from alexnet_jax.config.windows import window_count

_OUTPUT_NAMES: dict[Operation, str] = {
    "relu": "relu",
    "tanh": "tanh",
    "local_response_norm": "norm",
    "spatial_response_norm": "rnorm",
    "batch_norm": "bn",
    "max_pool": "pool",
    "average_pool": "pool",
}


@dataclass(frozen=True)
class Layer:
    """One operation of the forward pass."""

    name: str
    """The name of the layer, its output and its parameters: ``conv1``, ``norm1``, ``fc6``, ``drop6``."""
    operation: Operation | Literal["conv", "dense", "dropout", "classifier"]
    """What it computes."""
    config: ConvConfig | DenseConfig | None = None
    """The layer's own config, for operations that have parameters."""
    reads_all_towers: bool = False
    """Whether each tower reads the outputs of both (paper, section 3.5)."""


@dataclass(frozen=True)
class ModelConfig:
    """A net. Its layers are named ``conv1``, ``conv2`` and so on, then ``fc6`` and so on up to the classifier."""

    section: ClassVar[str] = "model."

    convs: tuple[ConvConfig, ...]
    """The convolutional layers."""
    dense: tuple[DenseConfig, ...]
    """The hidden fully connected layers."""
    pool_before_dense: bool = False
    """Average pooling before the dense layers, which makes them smaller, with the windows of model.average_pool."""
    classes: int = 1000
    """Outputs of the classifier. `alexnet train` uses the number of classes of the data set unless this is given."""
    image_size: int = 224
    """Side of the crops that the net reads, in pixels."""
    channels: int = 3
    """Channels of an image: 3 for colour, 1 for grey."""
    towers: int = 2
    """Number of parts that each layer's channels can be split into, one per device."""
    local_response_norm: LocalResponseNorm = field(default_factory=LocalResponseNorm)
    spatial_response_norm: SpatialResponseNorm = field(default_factory=SpatialResponseNorm)
    batch_norm: BatchNorm = field(default_factory=BatchNorm)
    max_pool: MaxPool = field(default_factory=MaxPool)
    average_pool: AveragePool = field(default_factory=AveragePool)
    dropout: Dropout = field(default_factory=Dropout)
    head_kernel_stddev: float | None = 0.01
    """Standard deviation of the classifier's initial weights. None draws them from PyTorch's uniform distribution."""
    head_truncate: bool = False
    """Redraw the classifier's initial weights beyond two standard deviations."""
    head_bias: float = 0.0
    """Initial value of the classifier's biases."""

    def __post_init__(self) -> None:
        make_lists_tuples(self)
        check_types(self, self.section)
        check_finite(self, "model")
        for name in ("convs", "dense"):
            for index, layer in enumerate(getattr(self, name)):
                layer.check(f"model.{name}.{index}.")
        check_positive(self, "classes", "image_size", "channels", "head_kernel_stddev")
        check(self.towers in (1, 2), "model.towers", self.towers, "use 1 or 2")
        check(bool(self.convs), "model.convs", self.convs, "use at least one convolution")
        self._check_towers()
        for name, size in self.image_sizes():
            check(size > 0, "model.image_size", self.image_size, f"{name} has no pixels left, use a larger image")

    def _check_towers(self) -> None:
        for index, conv in enumerate(self.convs):
            name = f"model.convs.{index}.groups"
            check(conv.groups in (1, self.towers), name, conv.groups, f"use 1 or {self.towers}, the number of towers")
            check(index > 0 or conv.groups == 1, name, conv.groups, "use 1, because every tower reads the image")
            self._check_divisible(f"model.convs.{index}.features", conv.features)
        for index, dense in enumerate(self.dense):
            name = f"model.dense.{index}.groups"
            check(dense.groups in (1, self.towers), name, dense.groups, f"use 1 or {self.towers}, the number of towers")
            self._check_divisible(f"model.dense.{index}.features", dense.features)

    def _check_divisible(self, name: str, features: int) -> None:
        remedy = f"{self.towers} towers cannot divide it, use a multiple of {self.towers}"
        check(features % self.towers == 0, name, features, remedy)

    def layers(self) -> Iterator[Layer]:
        """Every operation of the net, in the order of the forward pass.

        The model, the layer table, the ONNX export and the benchmark all follow this order.
        """
        for number, conv in enumerate(self.convs, start=1):
            yield Layer(f"conv{number}", "conv", conv, reads_all_towers=conv.groups == 1 and number > 1)
            for operation in conv.then:
                # batch normalisation has the number of the layer that reads it, as in NVIDIA's Caffe
                yield Layer(f"{_OUTPUT_NAMES[operation]}{number + (operation == 'batch_norm')}", operation)
        if self.pool_before_dense:
            yield Layer(f"pool{len(self.convs) + 1}", "average_pool")
        for number, dense in enumerate(self.dense, start=len(self.convs) + 1):
            dropout = Layer(f"drop{number}", "dropout")
            if self.dropout.place == "before":
                yield dropout
            yield Layer(f"fc{number}", "dense", dense, reads_all_towers=dense.groups == 1)
            yield Layer(f"relu{number}", "relu")
            if self.dropout.place == "after":
                yield dropout
        head = DenseConfig(
            self.classes, kernel_stddev=self.head_kernel_stddev, truncate=self.head_truncate, bias=self.head_bias
        )
        yield Layer(f"fc{len(self.convs) + len(self.dense) + 1}", "classifier", head, reads_all_towers=True)

    @property
    def dense_names(self) -> tuple[str, ...]:
        """The names of the fully connected layers, the classifier last: ``fc6``, ``fc7``, ``fc8`` in ``paper``."""
        return tuple(layer.name for layer in self.layers() if layer.operation in ("dense", "classifier"))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of the layers that have parameters, in order."""
        return tuple(layer.name for layer in self.layers() if layer.config is not None)

    @property
    def batch_norm_names(self) -> tuple[str, ...]:
        """The names of the batch normalisations, which have running statistics, in order."""
        return tuple(layer.name for layer in self.layers() if layer.operation == "batch_norm")

    def image_sizes(self) -> Iterator[tuple[str, int]]:
        """The name and the side in pixels of the output of each convolution and each pooling, in order."""
        size = self.image_size
        for layer in self.layers():
            if isinstance(layer.config, ConvConfig):
                conv = layer.config
                size = window_count(size, conv.kernel_size, conv.stride, conv.padding, conv.rounding)
            elif (pool := self.pool(layer)) is not None:
                size = window_count(size, pool.size, pool.stride, 0, pool.rounding)
            else:
                continue
            yield layer.name, size

    def pool(self, layer: Layer) -> MaxPool | AveragePool | None:
        """The windows of ``layer``, if it pools."""
        if layer.operation == "max_pool":
            return self.max_pool
        return self.average_pool if layer.operation == "average_pool" else None
