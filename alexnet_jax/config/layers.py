"""The configs of the layers of a net, and the constants of the operations between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from alexnet_jax.config.checks import (
    check,
    check_fields,
    check_fraction,
    check_not_negative,
    check_positive,
    make_lists_tuples,
)
from alexnet_jax.config.types import check_types
from alexnet_jax.config.windows import Rounding

Operation = Literal[
    "relu", "tanh", "local_response_norm", "spatial_response_norm", "batch_norm", "max_pool", "average_pool"
]
"""An operation that can follow a convolution."""

Uniform = Literal["pytorch", "xavier"]
"""The range of uniform initial weights."""


def _check_response_norm(config: Any) -> None:
    check_fields(config, ("size",), lambda value: value > 0 and value % 2 == 1, "use an odd number above 0")
    check_positive(config, "k")  # otherwise the quotient is not bounded
    check_not_negative(config, "alpha")


@dataclass(frozen=True)
class ConvConfig:
    """One convolutional or locally connected layer, and the operations that follow it."""

    features: int
    """Output channels of all towers together."""
    kernel_size: int
    """Side of the square kernel in pixels."""
    stride: int = 1
    """Pixels between neighbouring windows."""
    padding: int = 0
    """Zero padding on each side of the image, in pixels."""
    rounding: Rounding = "down"
    """up: keep a last window that extends past the bottom and right edges. down: drop it."""
    groups: int = 1
    """1: each tower reads the channels of all towers. The number of towers: each tower reads its own channels."""
    then: tuple[Operation, ...] = ("relu",)
    """The operations that follow, in order."""
    shared_kernel: bool = True
    """Whether all positions of the output share one kernel, as in a convolution. If not, the layer is locally
    connected: each position has its own kernel and its own biases."""
    kernel_stddev: float | None = 0.01
    """Standard deviation of the initial weights, which are normal. None draws them from a uniform distribution."""
    truncate: bool = False
    """Redraw normal initial weights beyond two standard deviations, as TensorFlow's truncated_normal does."""
    uniform: Uniform = "pytorch"
    """The uniform distribution, where kernel_stddev is None. pytorch: weights and biases between plus and minus
    1 / sqrt(inputs of a unit), PyTorch's default. xavier: weights between plus and minus sqrt(6 / (inputs + outputs)),
    where the outputs are the features times the pixels of the kernel."""
    bias: float = 0.0
    """Initial value of each bias. Not used where PyTorch's default draws it."""

    def __post_init__(self) -> None:
        make_lists_tuples(self)

    def check(self, section: str) -> None:
        """Checks the fields. ``ModelConfig`` calls it with the layer's section, which errors name."""
        check_types(self, section)
        check_positive(self, "features", "kernel_size", "stride", "groups", "kernel_stddev", section=section)
        check_not_negative(self, "padding", section=section)
        remedy = "use batch_norm at most once after a convolution"
        check(self.then.count("batch_norm") <= 1, f"{section}then", self.then, remedy)


@dataclass(frozen=True)
class DenseConfig:
    """One fully connected layer, followed by ReLU."""

    features: int
    """Output units of all towers together."""
    groups: int = 1
    """1: each tower reads the units of all towers. The number of towers: each tower reads its own units."""
    kernel_stddev: float | None = 0.01
    """Standard deviation of the initial weights. None draws them from a uniform distribution, PyTorch's default."""
    truncate: bool = False
    """Redraw normal initial weights beyond two standard deviations, as TensorFlow's truncated_normal does."""
    bias: float = 0.0
    """Initial value of each bias. Not used where kernel_stddev is None."""

    def check(self, section: str) -> None:
        """Checks the fields. ``ModelConfig`` calls it with the layer's section, which errors name."""
        check_types(self, section)
        check_positive(self, "features", "groups", "kernel_stddev", section=section)


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
    """Let the window cross the border between two towers, as Caffe does and as section 3.3 defines it: its N is the
    number of kernels in the layer. The authors' code stayed inside a tower. To cross, two devices exchange channels."""

    def __post_init__(self) -> None:
        check_types(self, self.section)
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
        check_types(self, self.section)
        _check_response_norm(self)


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation without scale and shift: ``(a - mean) / sqrt(variance + epsilon)`` (arXiv 1502.03167).

    Mean and variance are those of a channel, over all images and pixels of a batch in training, and otherwise their
    moving averages.
    """

    section: ClassVar[str] = "model.batch_norm."

    epsilon: float = 1e-4
    """The constant that is added to the variance."""
    decay: float = 0.9
    """Decay of the moving averages, which each training step updates."""

    def __post_init__(self) -> None:
        check_types(self, self.section)
        check_positive(self, "epsilon")
        check_fraction(self, "decay")


def _check_pool(config: Any) -> None:
    check_positive(config, "size", "stride")
    remedy = f"use the stride, {config.stride}, or more"
    check(config.size >= config.stride, f"{config.section}size", config.size, remedy)


@dataclass(frozen=True)
class MaxPool:
    """Max-pooling. The windows overlap where the size exceeds the stride (paper, section 3.4)."""

    section: ClassVar[str] = "model.max_pool."

    size: int = 3
    """Side of the square window in pixels."""
    stride: int = 2
    """Pixels between neighbouring windows."""
    rounding: Rounding = "down"
    """up: keep a last window that extends past the bottom and right edges. down: drop it."""

    def __post_init__(self) -> None:
        check_types(self, self.section)
        _check_pool(self)


@dataclass(frozen=True)
class AveragePool:
    """Average pooling. A window that extends past an edge averages the pixels inside, as in cuda-convnet."""

    section: ClassVar[str] = "model.average_pool."

    size: int = 3
    """Side of the square window in pixels."""
    stride: int = 2
    """Pixels between neighbouring windows."""
    rounding: Rounding = "up"
    """up: keep a last window that extends past the bottom and right edges. down: drop it."""

    def __post_init__(self) -> None:
        check_types(self, self.section)
        _check_pool(self)


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
        check_types(self, self.section)
        check_fraction(self, "rate")
