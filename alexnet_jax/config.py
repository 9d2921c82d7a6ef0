"""Every choice that makes a net or a run, as frozen values that are checked when they are built.

A ``ModelConfig`` is a net (``variants`` holds the named ones), a ``TrainConfig`` a whole run (``presets``).
The command line is generated from these classes, so a flag and a field are the same thing.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from alexnet_jax.errors import UsageError
from alexnet_jax.windows import Rounding, window_count

Operation = Literal["relu", "tanh", "local_response_norm", "spatial_response_norm", "max_pool"]
"""What may follow a convolution, in the order in which a layer lists it."""


def _check(condition: bool, name: str, got: Any, remedy: str) -> None:
    if not condition:
        raise UsageError(f"{name} is {got!r}: {remedy}")


def _check_fields(config: Any, names: tuple[str, ...], allowed: Callable[[Any], bool], remedy: str) -> None:
    for name in names:
        value = getattr(config, name)
        _check(value is None or allowed(value), f"{config.section}{name}", value, remedy)


def _check_positive(config: Any, *names: str) -> None:
    _check_fields(config, names, lambda value: 0 < value < math.inf, "use a number above 0")


def _check_not_negative(config: Any, *names: str) -> None:
    _check_fields(config, names, lambda value: 0 <= value < math.inf, "use 0 or more")


def _check_share(config: Any, *names: str) -> None:
    _check_fields(config, names, lambda value: 0 <= value < 1, "use a share of at least 0 and below 1")


def _check_response_norm(config: Any) -> None:
    _check_fields(config, ("size",), lambda value: value > 0 and value % 2 == 1, "use an odd number above 0")
    _check_positive(config, "k")  # or the quotient has no bound
    _check_not_negative(config, "alpha")


@dataclass(frozen=True)
class ConvConfig:
    """One convolutional layer and what follows it."""

    section: ClassVar[str] = "model.convs."

    features: int
    """Output channels, those of all towers together."""
    kernel_size: int
    """Side of the square kernel, in pixels."""
    stride: int = 1
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
        _check_positive(self, "features", "kernel_size", "stride", "groups", "kernel_stddev")
        _check_not_negative(self, "padding")


@dataclass(frozen=True)
class DenseConfig:
    """One fully-connected layer, followed by ReLU."""

    section: ClassVar[str] = "model.dense."

    features: int
    """Output units, those of all towers together."""
    kernel_stddev: float | None = 0.01
    """As that of a convolution."""
    bias: float = 0.0

    def __post_init__(self) -> None:
        _check_positive(self, "features", "kernel_stddev")


@dataclass(frozen=True)
class LocalResponseNorm:
    """Constants of the paper's section 3.3: division by ``(k + alpha sum a^2)^beta`` over neighbouring channels."""

    section: ClassVar[str] = "model.local_response_norm."

    size: int = 5
    """Channels in the window, centred on the one that is normalised."""
    k: float = 2.0
    alpha: float = 1e-4
    beta: float = 0.75
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
    alpha: float = 0.001
    """Always divided by the pixels in the window."""
    beta: float = 0.75

    def __post_init__(self) -> None:
        _check_response_norm(self)


@dataclass(frozen=True)
class MaxPool:
    """Max-pooling; overlapping where the window is wider than the stride (paper, section 3.4)."""

    section: ClassVar[str] = "model.max_pool."

    size: int = 3
    stride: int = 2
    rounding: Rounding = "down"

    def __post_init__(self) -> None:
        _check_positive(self, "size", "stride")
        _check(self.size >= self.stride, "model.max_pool.size", self.size, f"use the stride, {self.stride}, or more")


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
        _check_share(self, "rate")


@dataclass(frozen=True)
class ModelConfig:
    """A net. Layers are named in order: ``conv1`` ..., then ``fc6`` ... and the classifier, counted on from them."""

    section: ClassVar[str] = "model."

    convs: tuple[ConvConfig, ...]
    dense: tuple[DenseConfig, ...]
    """The hidden fully-connected layers."""
    classes: int = 1000
    image_size: int = 224
    """Side of the crop that the net sees, in pixels."""
    channels: int = 3
    towers: int = 2
    """How many parts each layer's channels can be split into, one for each device."""
    local_response_norm: LocalResponseNorm = LocalResponseNorm()
    spatial_response_norm: SpatialResponseNorm = SpatialResponseNorm()
    max_pool: MaxPool = MaxPool()
    dropout: Dropout = Dropout()
    head_kernel_stddev: float | None = 0.01
    """Of the classifier's first weights."""
    head_bias: float = 0.0

    def __post_init__(self) -> None:
        _check_positive(self, "classes", "image_size", "channels", "head_kernel_stddev")
        _check(self.towers in (1, 2), "model.towers", self.towers, "use 1 or 2")
        _check(bool(self.convs), "model.convs", self.convs, "use at least one convolution")
        self._check_towers()
        for name, size in self.image_sizes():
            _check(size > 0, "model.image_size", self.image_size, f"{name} has no pixel left, use a larger image")

    def _check_towers(self) -> None:
        for index, conv in enumerate(self.convs, start=1):
            name = f"model.convs.{index - 1}"
            _check(
                conv.groups in (1, self.towers), f"{name}.groups", conv.groups, f"use 1 or {self.towers}, the towers"
            )
            _check(index > 1 or conv.groups == 1, f"{name}.groups", conv.groups, "use 1, every tower reads the image")
            self._check_shared(f"{name}.features", conv.features)
        for index, dense in enumerate(self.dense):
            self._check_shared(f"model.dense.{index}.features", dense.features)

    def _check_shared(self, name: str, features: int) -> None:
        remedy = f"{self.towers} towers cannot share it, use a multiple of {self.towers}"
        _check(features % self.towers == 0, name, features, remedy)

    @property
    def dense_names(self) -> tuple[str, ...]:
        """The fully-connected layers, the classifier last: ``fc6``, ``fc7``, ``fc8`` after five convolutions."""
        first = len(self.convs) + 1
        return tuple(f"fc{index}" for index in range(first, first + len(self.dense) + 1))

    def image_sizes(self) -> Iterator[tuple[str, int]]:
        """Name and side in pixels of the output of each convolution and each pooling, in order."""
        size = self.image_size
        for index, conv in enumerate(self.convs, start=1):
            size = window_count(size, conv.kernel_size, conv.stride, conv.padding, conv.rounding)
            yield f"conv{index}", size
            for _ in range(conv.then.count("max_pool")):
                size = window_count(size, self.max_pool.size, self.max_pool.stride, 0, self.max_pool.rounding)
                yield f"pool{index}", size


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are divided."""

    section: ClassVar[str] = "data."

    dataset: str = "cifar10_sample"
    """A TFDS data set in ArrayRecord form (name, name:version, name/config:version), or a folder of class folders."""
    data_dir: str | None = None
    """Where TFDS data sets are; None looks in the package and then in TFDS's own place."""
    image_size: int = 32
    """Side in pixels of stored images; others have their shorter side scaled to it and the centre cut out."""
    train_split: str = "train"
    test_split: str = "test"
    validation_split: str | None = None
    """A split to validate on. Without one, validation_share is held out of training."""
    validation_share: float = 0.0
    test_share: float = 0.1
    """Held out as the test set where a folder has no train and test folders."""
    split_seed: int = 0
    """Which images are held out."""
    train_examples: int | None = None
    """Training images in an epoch; the program fills it in from the data."""

    def __post_init__(self) -> None:
        _check_positive(self, "image_size")
        _check_share(self, "validation_share", "test_share")
        _check_positive(self, "test_share")
        _check_not_negative(self, "split_seed")
        _check(
            self.validation_split is None or self.validation_share == 0,
            "data.validation_share",
            self.validation_share,
            f"use 0 with validation_split {self.validation_split!r}, or no validation_split",
        )


@dataclass(frozen=True)
class AugmentConfig:
    """What happens to pixels on the device. Crops of the net's size are always taken: random ones in training."""

    section: ClassVar[str] = "augment."

    reflect: bool = True
    """Mirror half of the training images (paper, section 4.1)."""
    mean: Literal["pixel", "colour"] = "pixel"
    """What is subtracted: the training set's mean image (paper, section 2) or its mean colour."""
    mean_crop: Literal["same", "center"] = "same"
    """Take the mean image under the crop, or always its centre, as the authors' code does."""
    divide_by_stddev: bool = False
    """Divide by the standard deviation of each channel over the training set, as torchvision's recipe does."""
    colour_noise: float = 0.1
    """Standard deviation of alpha, the strength of the noise along the colours' principal components; 0 for none."""
    colour_noise_scale: Literal["standard_deviation", "eigenvalue"] = "standard_deviation"
    """What alpha multiplies: the components' standard deviations (as run) or variances, in 0..1 pixels (as printed)."""

    def __post_init__(self) -> None:
        _check_not_negative(self, "colour_noise")


@dataclass(frozen=True)
class OptimizerConfig:
    """Stochastic gradient descent with momentum."""

    section: ClassVar[str] = "optimizer."

    learning_rate: float = 0.01
    bias_learning_rate: float | None = None
    """None gives biases the weights' rate."""
    momentum: float = 0.9
    weight_decay: float = 0.0005
    bias_decay: float = 0.0
    """Weight decay of the biases."""
    rule: Literal["paper", "optax_sgd"] = "paper"
    """The rate inside the velocity (paper, section 5) or outside (optax.sgd, PyTorch): they part when it changes."""

    def __post_init__(self) -> None:
        _check_positive(self, "learning_rate")
        _check_not_negative(self, "bias_learning_rate", "weight_decay", "bias_decay")
        _check_share(self, "momentum")


@dataclass(frozen=True)
class ScheduleConfig:
    """When the learning rate drops."""

    section: ClassVar[str] = "schedule."

    rule: Literal["steps", "plateau"] = "plateau"
    """At the given epochs, or when the validation error stops improving (paper, section 5)."""
    factor: float = 0.1
    """What a drop multiplies the rate by."""
    epochs: tuple[float, ...] = ()
    """Where the rate drops under the rule "steps"."""
    patience: int = 5
    """Under "plateau": validations without a new best error before a drop."""
    max_drops: int = 3
    """Under "plateau": how often the rate may drop."""
    biases: Literal["follow", "stay"] = "follow"
    """Whether the biases' rate drops too; in the authors' run it stayed."""

    def __post_init__(self) -> None:
        _check(0 < self.factor <= 1, "schedule.factor", self.factor, "use a number above 0, at most 1")
        _check_positive(self, "patience")
        _check_not_negative(self, "max_drops")
        _check(list(self.epochs) == sorted(self.epochs), "schedule.epochs", self.epochs, "give them in rising order")
        _check(all(epoch > 0 for epoch in self.epochs), "schedule.epochs", self.epochs, "use epochs above 0")


@dataclass(frozen=True)
class TrainConfig:
    """A whole run. Hashable, so that it can be a static argument of ``jax.jit``."""

    section: ClassVar[str] = ""

    model: ModelConfig
    data: DataConfig = DataConfig()
    augment: AugmentConfig = AugmentConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    batch_size: int = 128
    epochs: int = 90
    seed: int = 0
    """Decides the first weights, the order of the images, crops, colours and dropout."""
    evaluate_every: int = 1
    """Epochs between two evaluations."""
    checkpoint_every: int = 1000
    """Steps between two checkpoints, besides the one after each evaluation."""
    log_every: int = 50
    """Steps between two lines of training metrics."""

    def __post_init__(self) -> None:
        _check_positive(self, "batch_size", "epochs", "evaluate_every", "checkpoint_every", "log_every")
        _check_fields(self, ("seed",), lambda value: 0 <= value < 2**32, "use 0 to 4294967295")
        remedy = f"use at least {self.model.image_size}, the net's crop, or a smaller model.image_size"
        _check(self.data.image_size >= self.model.image_size, "data.image_size", self.data.image_size, remedy)
        examples = self.data.train_examples
        if examples is not None:
            remedy = f"use at most {examples}, the training images there are"
            _check(self.batch_size <= examples, "batch_size", self.batch_size, remedy)

    @property
    def steps_per_epoch(self) -> int:
        """Whole batches in an epoch; the rest of the images waits for another shuffle.

        Raises UsageError where ``data.train_examples`` is not known.
        """
        if self.data.train_examples is None:
            raise UsageError(
                "data.train_examples is None: give the number of training images, or let `alexnet train` do so"
            )
        return self.data.train_examples // self.batch_size

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch


def differences(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Name, old value and new value of each field that two configs of one class do not share, nested ones by path."""
    for entry in dataclasses.fields(old):
        name, before, after = prefix + entry.name, getattr(old, entry.name), getattr(new, entry.name)
        if dataclasses.is_dataclass(before):
            yield from differences(before, after, f"{name}.")
        elif isinstance(before, tuple) and len(before) == len(after) and all(map(dataclasses.is_dataclass, before)):
            for index, pair in enumerate(zip(before, after, strict=True)):
                yield from differences(*pair, f"{name}.{index}.")
        elif before != after:
            yield name, before, after
