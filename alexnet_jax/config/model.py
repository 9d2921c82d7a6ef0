"""The config of a net: its layers, and the constants of the operations between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from alexnet_jax.config.checks import (
    check,
    check_fields,
    check_finite,
    check_fraction,
    check_not_negative,
    check_positive,
    make_lists_tuples,
)
from alexnet_jax.config.windows import Rounding, window_count

Operation = Literal["relu", "tanh", "local_response_norm", "spatial_response_norm", "max_pool"]
"""An operation that can follow a convolution."""

_OUTPUT_NAMES: dict[Operation, str] = {
    "relu": "relu",
    "tanh": "tanh",
    "local_response_norm": "norm",
    "spatial_response_norm": "rnorm",
    "max_pool": "pool",
}


def _check_response_norm(config: Any) -> None:
    check_fields(config, ("size",), lambda value: value > 0 and value % 2 == 1, "use an odd number above 0")
    check_positive(config, "k")  # otherwise the quotient is not bounded
    check_not_negative(config, "alpha")


@dataclass(frozen=True)
class ConvConfig:
    """One convolutional layer and the operations that follow it."""

    features: int
    """Output channels of all towers together."""
    kernel_size: int
    """Side of the square kernel in pixels."""
    stride: int = 1
    """Pixels between neighbouring windows."""
    padding: int = 0
    """Zero padding on each side of the image, in pixels."""
    rounding: Rounding = "down"
    """Whether a last window that extends past the bottom and right edges counts (up) or not (down)."""
    groups: int = 1
    """1: each tower reads the channels of all towers. The number of towers: each tower reads its own channels."""
    then: tuple[Operation, ...] = ("relu",)
    """The operations that follow, in order."""
    kernel_stddev: float | None = 0.01
    """Standard deviation of the initial weights, which are normal. None draws weights and biases uniformly between
    plus and minus 1 / sqrt(inputs of a unit), PyTorch's default."""
    bias: float = 0.0
    """Initial value of each bias. Not used where kernel_stddev is None."""

    def __post_init__(self) -> None:
        make_lists_tuples(self)

    def check(self, section: str) -> None:
        """Checks the fields. ``ModelConfig`` calls it with the layer's section, which errors name."""
        check_positive(self, "features", "kernel_size", "stride", "groups", "kernel_stddev", section=section)
        check_not_negative(self, "padding", section=section)


@dataclass(frozen=True)
class DenseConfig:
    """One fully connected layer, followed by ReLU."""

    features: int
    """Output units of all towers together."""
    kernel_stddev: float | None = 0.01
    """Standard deviation of the initial weights. None draws them uniformly, as in a convolution."""
    bias: float = 0.0
    """Initial value of each bias. Not used where kernel_stddev is None."""

    def check(self, section: str) -> None:
        """Checks the fields. ``ModelConfig`` calls it with the layer's section, which errors name."""
        check_positive(self, "features", "kernel_stddev", section=section)


@dataclass(frozen=True)
class LocalResponseNorm:
    """Division by ``(k + alpha * sum(a^2))^beta``, the sum over neighbouring channels (paper, section 3.3)."""

    section: ClassVar[str] = "model.local_response_norm."

    size: int = 5
    """Channels in the window, which is centred on the normalised channel."""
    k: float = 2.0
    """The constant term."""
    alpha: float = 1e-4
    """The factor of the sum of squares."""
    beta: float = 0.75
    """The exponent."""
    divide_alpha: bool = False
    """Divide alpha by the window size, as the authors' code and Caffe do and the paper's text does not."""
    across_towers: bool = False
    """Let the window cross the border between two towers, as Caffe does. Two devices then exchange channels."""

    def __post_init__(self) -> None:
        _check_response_norm(self)


@dataclass(frozen=True)
class SpatialResponseNorm:
    """The unpublished ``rnorm`` of the authors' layer file 145: the same formula over pixels of one channel."""

    section: ClassVar[str] = "model.spatial_response_norm."

    size: int = 5
    """Side of the square window in pixels."""
    k: float = 1.0
    """The constant term."""
    alpha: float = 0.001
    """The factor of the mean of squares over the window."""
    beta: float = 0.75
    """The exponent."""

    def __post_init__(self) -> None:
        _check_response_norm(self)


@dataclass(frozen=True)
class MaxPool:
    """Max-pooling. The windows overlap where the size exceeds the stride (paper, section 3.4)."""

    section: ClassVar[str] = "model.max_pool."

    size: int = 3
    """Side of the square window in pixels."""
    stride: int = 2
    """Pixels between neighbouring windows."""
    rounding: Rounding = "down"
    """Whether a last window that extends past the bottom and right edges counts (up) or not (down)."""

    def __post_init__(self) -> None:
        check_positive(self, "size", "stride")
        check(self.size >= self.stride, "model.max_pool.size", self.size, f"use the stride, {self.stride}, or more")


@dataclass(frozen=True)
class Dropout:
    """Where dropout is applied, and whether training or test compensates for it."""

    section: ClassVar[str] = "model.dropout."

    rate: float = 0.5
    """Fraction of units that a training step sets to zero."""
    place: Literal["after", "before"] = "after"
    """After the hidden dense layers (paper, section 4.2) or before them (torchvision)."""
    scaled_in: Literal["test", "training"] = "test"
    """The paper multiplies by the kept fraction at test time. Inverted dropout divides by it in training."""

    def __post_init__(self) -> None:
        check_fraction(self, "rate")


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
    classes: int = 1000
    """Outputs of the classifier. `alexnet train` uses the number of classes of the data set unless this is given."""
    image_size: int = 224
    """Side of the crops that the net reads, in pixels."""
    channels: int = 3
    """Channels of an image: 3 for colour, 1 for grey."""
    towers: int = 2
    """Number of parts that each layer's channels can be split into, one per device."""
    local_response_norm: LocalResponseNorm = LocalResponseNorm()
    spatial_response_norm: SpatialResponseNorm = SpatialResponseNorm()
    max_pool: MaxPool = MaxPool()
    dropout: Dropout = Dropout()
    head_kernel_stddev: float | None = 0.01
    """Standard deviation of the classifier's initial weights."""
    head_bias: float = 0.0
    """Initial value of the classifier's biases."""

    def __post_init__(self) -> None:
        make_lists_tuples(self)
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
                yield Layer(f"{_OUTPUT_NAMES[operation]}{number}", operation)
        for number, dense in enumerate(self.dense, start=len(self.convs) + 1):
            dropout = Layer(f"drop{number}", "dropout")
            if self.dropout.place == "before":
                yield dropout
            yield Layer(f"fc{number}", "dense", dense, reads_all_towers=True)
            yield Layer(f"relu{number}", "relu")
            if self.dropout.place == "after":
                yield dropout
        head = DenseConfig(self.classes, self.head_kernel_stddev, self.head_bias)
        yield Layer(f"fc{len(self.convs) + len(self.dense) + 1}", "classifier", head, reads_all_towers=True)

    @property
    def dense_names(self) -> tuple[str, ...]:
        """The names of the fully connected layers, the classifier last: ``fc6``, ``fc7``, ``fc8`` in ``paper``."""
        return tuple(layer.name for layer in self.layers() if layer.operation in ("dense", "classifier"))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """The names of the layers that have parameters, in order."""
        return tuple(layer.name for layer in self.layers() if layer.config is not None)

    def image_sizes(self) -> Iterator[tuple[str, int]]:
        """The name and the side in pixels of the output of each convolution and each pooling, in order."""
        size, pool = self.image_size, self.max_pool
        for layer in self.layers():
            if isinstance(layer.config, ConvConfig):
                conv = layer.config
                size = window_count(size, conv.kernel_size, conv.stride, conv.padding, conv.rounding)
            elif layer.operation == "max_pool":
                size = window_count(size, pool.size, pool.stride, 0, pool.rounding)
            else:
                continue
            yield layer.name, size
