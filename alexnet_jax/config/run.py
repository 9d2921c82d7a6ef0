"""A whole run as a value: images, augmentation, update rule and schedule around a net."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from alexnet_jax.config.checks import check, check_fields, check_fraction, check_not_negative, check_positive
from alexnet_jax.config.model import ModelConfig
from alexnet_jax.errors import UsageError

Dtype = Literal["float32", "bfloat16"]
"""What a net can compute in."""


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
    """A split of a TFDS data set, or the folder that holds it."""
    test_split: str = "test"
    """As train_split."""
    validation_split: str | None = None
    """A split to validate on. Without one, validation_fraction is held out of training."""
    validation_fraction: float = 0.0
    """Held out of training to validate on."""
    test_fraction: float = 0.1
    """Held out as the test set where a folder has no train and test folders."""
    split_seed: int = 0
    """Which images are held out."""
    train_examples: int | None = None
    """Training images in an epoch; the program fills it in from the data."""

    def __post_init__(self) -> None:
        check_positive(self, "image_size")
        check_fraction(self, "validation_fraction", "test_fraction")
        check_positive(self, "test_fraction")
        check_not_negative(self, "split_seed")
        check(
            self.validation_split is None or self.validation_fraction == 0,
            "data.validation_fraction",
            self.validation_fraction,
            f"use 0 with validation_split {self.validation_split!r}, or no validation_split",
        )


@dataclass(frozen=True)
class AugmentConfig:
    """What happens to pixels on the device. Random crops come to the net in training, the centre or ten at test."""

    section: ClassVar[str] = "augment."

    random_crop: Literal["shift", "resize"] = "shift"
    """Crops of the net's size at random positions (paper, section 4.1), or boxes of 8% to 100% of the image's area
    with aspect ratios of 3:4 to 4:3, resized to the net's size (torchvision's RandomResizedCrop)."""
    images_per_crop: int = 1
    """Neighbouring images of a batch that share one position and flip. The authors' code used 32."""
    horizontal_flip: bool = True
    """Flip half of the training images (paper, section 4.1)."""
    mean: Literal["image", "channel"] = "image"
    """Subtract the mean image of the training set (paper, section 2), or the mean of each channel."""
    mean_crop: Literal["same", "center"] = "same"
    """Take the mean image under the crop, or always its centre, as the authors' code does."""
    divide_by_stddev: bool = False
    """Divide by the standard deviation of each channel over the training set, as torchvision's recipe does."""
    pca_colour_noise: float = 0.1
    """Standard deviation of alpha, the strength of the noise along the colours' principal components; 0 for none."""
    pca_colour_noise_scale: Literal["standard_deviation", "eigenvalue"] = "standard_deviation"
    """What alpha multiplies: the components' standard deviations (as run) or variances, in 0..1 pixels (as printed)."""

    pca_colour_noise_until: float | None = None
    """Epoch from which on there is no more noise; None keeps it to the end."""
    pca_colour_noise_divisor: float = 1.0
    """What pixels are divided by while there is noise; 1.1 in the authors' code."""

    def __post_init__(self) -> None:
        check_not_negative(self, "pca_colour_noise")
        check_positive(self, "images_per_crop", "pca_colour_noise_until", "pca_colour_noise_divisor")
        remedy = "use 'same', because augment.random_crop is 'resize'"
        check(self.random_crop == "shift" or self.mean_crop == "same", "augment.mean_crop", self.mean_crop, remedy)


@dataclass(frozen=True)
class OptimizerConfig:
    """Stochastic gradient descent with momentum."""

    section: ClassVar[str] = "optimizer."

    learning_rate: float = 0.01
    """Of the weights, before it drops."""
    bias_learning_rate: float | None = None
    """None gives biases the weights' rate."""
    momentum: float = 0.9
    """Share of the last step that the next one keeps."""
    weight_decay: float = 0.0005
    """Share of a weight that a step at rate 1 takes away."""
    bias_decay: float = 0.0
    """Weight decay of the biases."""
    frozen: tuple[str, ...] = ()
    """Layers that keep their first values: conv1, fc6 and so on."""
    rule: Literal["paper", "optax_sgd"] = "paper"
    """The rate inside the velocity (paper, section 5) or outside (optax.sgd, PyTorch): they part when it changes."""

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_not_negative(self, "bias_learning_rate", "weight_decay", "bias_decay")
        check_fraction(self, "momentum")


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
    layer_rates: tuple[tuple[str, float, float], ...] = ()
    """Layers with a rate of their own, as LAYER EPOCH FACTOR: from that epoch on, FACTOR times the others' rate."""

    def __post_init__(self) -> None:
        check(0 < self.factor <= 1, "schedule.factor", self.factor, "use a number above 0, at most 1")
        check_positive(self, "patience")
        check_not_negative(self, "max_drops")
        check(list(self.epochs) == sorted(self.epochs), "schedule.epochs", self.epochs, "give them in rising order")
        check(all(epoch > 0 for epoch in self.epochs), "schedule.epochs", self.epochs, "use epochs above 0")
        numbers = [number for _, *pair in self.layer_rates for number in pair]
        check(
            all(0 <= number < math.inf for number in numbers), "schedule.layer_rates", self.layer_rates, "use 0 or more"
        )


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
    """Images in a step, those of all devices together."""
    epochs: int = 90
    """How often the training images are gone through."""
    steps_per_dispatch: int = 1
    """Steps that a device takes between two looks of the program. More than 1 is for small nets on accelerators, which
    else wait for the program; a CPU gets slower."""
    dtype: Dtype = "float32"
    """What activations and products are made in; weights and their updates, norms and the loss stay float32."""
    init: str | None = None
    """A work folder or file of weights to begin with; a classifier for other classes is drawn anew."""
    seed: int = 0
    """Decides the first weights, the order of the images, crops, colours and dropout."""
    evaluate_every: int = 1
    """Epochs between two evaluations."""
    checkpoint_every: int = 1000
    """Steps between two checkpoints, besides the one after each evaluation."""
    log_every: int = 50
    """Steps between two lines of training metrics."""

    def __post_init__(self) -> None:
        check_positive(
            self, "batch_size", "epochs", "steps_per_dispatch", "evaluate_every", "checkpoint_every", "log_every"
        )
        check_fields(self, ("seed",), lambda value: 0 <= value < 2**32, "use 0 to 4294967295")
        remedy = f"use at least {self.model.image_size}, the net's crop, or a smaller model.image_size"
        check(self.data.image_size >= self.model.image_size, "data.image_size", self.data.image_size, remedy)
        for name in (*self.optimizer.frozen, *(layer for layer, *_ in self.schedule.layer_rates)):
            there = self.model.layer_names
            section = "optimizer.frozen" if name in self.optimizer.frozen else "schedule.layer_rates"
            check(name in there, section, name, f"use one of {', '.join(there)}")
        examples = self.data.train_examples
        if examples is not None:
            remedy = f"use at most {examples}, the training images there are"
            check(self.batch_size <= examples, "batch_size", self.batch_size, remedy)
        alike = self.augment.images_per_crop
        remedy = f"use a share of the batch, {self.batch_size}"
        check(self.batch_size % alike == 0, "augment.images_per_crop", alike, remedy)

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
