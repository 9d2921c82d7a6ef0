"""A net as a value: its layers, and the constants of what stands between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from alexnet_jax.config.checks import check, check_fields, check_not_negative, check_positive, check_share
from alexnet_jax.windows import Rounding, window_count

Operation = Literal["relu", "tanh", "local_response_norm", "spatial_response_norm", "max_pool"]
"""What may follow a convolution, in the order in which a layer lists it."""


def _check_response_norm(config: Any) -> None:
    check_fields(config, ("size",), lambda value: value > 0 and value % 2 == 1, "use an odd number above 0")
    check_positive(config, "k")  # or the quotient has no bound
    check_not_negative(config, "alpha")


@dataclass(frozen=True)
class ConvConfig:
    """One convolutional layer and what follows it."""

    section: ClassVar[str] = "model.convs."

    features: int
    """Output channels, those of all towers together."""
    kernel_size: int
    """Side of the square kernel, in pixels."""
    stride: int = 1
    """Pixels from one window to the next."""
    padding: int = 0
    """Zeros added on each side of the image, in pixels."""
    rounding: Rounding = "down"
    """Whether a last window that hangs over the bottom and right edges is taken (up) or left (down)."""
    groups: int = 1
    """1 reads the channels of every tower; the number of towers lets each tower read its own only."""
    then: tuple[Operation, ...] = ("relu",)
    """What follows, in order."""
    kernel_stddev: float | None = 0.01
    """Standard deviation of the normal distribution that the first weights are drawn from. None draws weights and
    biases evenly from within one over the root of a unit's inputs, as PyTorch does."""
    bias: float = 0.0
    """First value of every bias, where kernel_stddev is not None."""

    def __post_init__(self) -> None:
        check_positive(self, "features", "kernel_size", "stride", "groups", "kernel_stddev")
        check_not_negative(self, "padding")


@dataclass(frozen=True)
class DenseConfig:
    """One fully-connected layer, followed by ReLU."""

    section: ClassVar[str] = "model.dense."

    features: int
    """Output units, those of all towers together."""
    kernel_stddev: float | None = 0.01
    """Standard deviation of the first weights; None as in a convolution."""
    bias: float = 0.0
    """First value of every bias, where kernel_stddev is not None."""

    def __post_init__(self) -> None:
        check_positive(self, "features", "kernel_stddev")


@dataclass(frozen=True)
class LocalResponseNorm:
    """Constants of the paper's section 3.3: division by ``(k + alpha sum a^2)^beta`` over neighbouring channels."""

    section: ClassVar[str] = "model.local_response_norm."

    size: int = 5
    """Channels in the window, centred on the one that is normalised."""
    k: float = 2.0
    """What the sum of squares is added to."""
    alpha: float = 1e-4
    """What the sum of squares is multiplied by."""
    beta: float = 0.75
    """The power of the divisor."""
    divide_alpha: bool = False
    """Divide alpha by the window's size, as the authors' code and Caffe do and the paper's text does not."""
    across_towers: bool = False
    """Let the window reach over the border between two towers, as Caffe's does; two devices then exchange channels."""

    def __post_init__(self) -> None:
        _check_response_norm(self)


@dataclass(frozen=True)
class SpatialResponseNorm:
    """Constants of the unpublished ``rnorm`` of the authors' layer file 145: as above, over pixels of one channel."""

    section: ClassVar[str] = "model.spatial_response_norm."

    size: int = 5
    """Side of the square window, in pixels."""
    k: float = 1.0
    """What the sum of squares is added to."""
    alpha: float = 0.001
    """What the mean of squares is multiplied by: always divided by the pixels in the window."""
    beta: float = 0.75
    """The power of the divisor."""

    def __post_init__(self) -> None:
        _check_response_norm(self)


@dataclass(frozen=True)
class MaxPool:
    """Max-pooling; overlapping where the window is wider than the stride (paper, section 3.4)."""

    section: ClassVar[str] = "model.max_pool."

    size: int = 3
    """Side of the square window, in pixels."""
    stride: int = 2
    """Pixels from one window to the next."""
    rounding: Rounding = "down"
    """Whether a last window that hangs over the bottom and right edges is taken (up) or left (down)."""

    def __post_init__(self) -> None:
        check_positive(self, "size", "stride")
        check(self.size >= self.stride, "model.max_pool.size", self.size, f"use the stride, {self.stride}, or more")


@dataclass(frozen=True)
class Dropout:
    """Where dropout stands, and which of training and test makes up for it."""

    section: ClassVar[str] = "model.dropout."

    rate: float = 0.5
    """Share of units that are silent in a training step."""
    place: Literal["after", "before"] = "after"
    """After the hidden dense layers (paper, section 4.2) or before them (torchvision)."""
    scaled_in: Literal["test", "training"] = "test"
    """The paper multiplies by the kept share at test; the inverted form divides by it in training."""

    def __post_init__(self) -> None:
        check_share(self, "rate")


@dataclass(frozen=True)
class ModelConfig:
    """A net. Layers are named in order: ``conv1`` ..., then ``fc6`` ... and the classifier, counted on from them."""

    section: ClassVar[str] = "model."

    convs: tuple[ConvConfig, ...]
    """The convolutional layers."""
    dense: tuple[DenseConfig, ...]
    """The hidden fully-connected layers."""
    classes: int = 1000
    """Outputs of the classifier; `alexnet train` takes the data set's unless told otherwise."""
    image_size: int = 224
    """Side of the crop that the net sees, in pixels."""
    channels: int = 3
    """Of an image: 3 for colours, 1 for grey."""
    towers: int = 2
    """How many parts each layer's channels can be split into, one for each device."""
    local_response_norm: LocalResponseNorm = LocalResponseNorm()
    spatial_response_norm: SpatialResponseNorm = SpatialResponseNorm()
    max_pool: MaxPool = MaxPool()
    dropout: Dropout = Dropout()
    head_kernel_stddev: float | None = 0.01
    """Of the classifier's first weights."""
    head_bias: float = 0.0
    """First value of the classifier's biases."""

    def __post_init__(self) -> None:
        check_positive(self, "classes", "image_size", "channels", "head_kernel_stddev")
        check(self.towers in (1, 2), "model.towers", self.towers, "use 1 or 2")
        check(bool(self.convs), "model.convs", self.convs, "use at least one convolution")
        self._check_towers()
        for name, size in self.image_sizes():
            check(size > 0, "model.image_size", self.image_size, f"{name} has no pixel left, use a larger image")

    def _check_towers(self) -> None:
        for index, conv in enumerate(self.convs, start=1):
            name = f"model.convs.{index - 1}"
            check(conv.groups in (1, self.towers), f"{name}.groups", conv.groups, f"use 1 or {self.towers}, the towers")
            check(index > 1 or conv.groups == 1, f"{name}.groups", conv.groups, "use 1, every tower reads the image")
            self._check_shared(f"{name}.features", conv.features)
        for index, dense in enumerate(self.dense):
            self._check_shared(f"model.dense.{index}.features", dense.features)

    def _check_shared(self, name: str, features: int) -> None:
        remedy = f"{self.towers} towers cannot share it, use a multiple of {self.towers}"
        check(features % self.towers == 0, name, features, remedy)

    @property
    def dense_names(self) -> tuple[str, ...]:
        """The fully-connected layers, the classifier last: ``fc6``, ``fc7``, ``fc8`` after five convolutions."""
        first = len(self.convs) + 1
        return tuple(f"fc{index}" for index in range(first, first + len(self.dense) + 1))

    @property
    def layer_names(self) -> tuple[str, ...]:
        """Every layer that has parameters, in order."""
        return (*(f"conv{index}" for index in range(1, len(self.convs) + 1)), *self.dense_names)

    def image_sizes(self) -> Iterator[tuple[str, int]]:
        """Name and side in pixels of the output of each convolution and each pooling, in order."""
        size = self.image_size
        for index, conv in enumerate(self.convs, start=1):
            size = window_count(size, conv.kernel_size, conv.stride, conv.padding, conv.rounding)
            yield f"conv{index}", size
            for _ in range(conv.then.count("max_pool")):
                size = window_count(size, self.max_pool.size, self.max_pool.stride, 0, self.max_pool.rounding)
                yield f"pool{index}", size
