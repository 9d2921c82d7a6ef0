"""The config of a run: data, augmentation, optimizer and learning-rate schedule around a net."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile
from typing import ClassVar, Literal

from alexnet_jax.config.checks import (
    check,
    check_fields,
    check_finite,
    check_fraction,
    check_not_negative,
    check_positive,
)
from alexnet_jax.config.model import Layer, ModelConfig
from alexnet_jax.config.optimizer import OptimizerConfig
from alexnet_jax.config.schedule import ScheduleConfig
from alexnet_jax.config.types import check_types
from alexnet_jax.errors import UsageError

Resize = Literal["crop", "squash"]
"""How an image of any size becomes a square."""

_MAX_STEPS = 2**31 - 1

Views = Literal["center", "center-flip", "ten-crop"]
"""The crops that an image is classified from: the centre crop; this and its reflection; or the four corners and the
centre, and their reflections (paper, section 4.1). The probabilities of several are averaged."""

Dtype = Literal["float32", "bfloat16"]
"""The dtypes that a net can compute in."""


@dataclass(frozen=True)
class DataConfig:
    """The data set and its splits."""

    section: ClassVar[str] = "data."

    dataset: str = "cifar10_sample"
    """A folder of class folders, or a TFDS data set in ArrayRecord format (name or name/config, and :version)."""
    data_dir: str | None = None
    """Directory of TFDS data sets. None looks in the package, then in TFDS's default directory."""
    image_size: int = 32
    """Side in pixels of stored images. Images of another size are resized."""
    resize: Resize = "crop"
    """crop: scale the shorter side, and crop the central square (paper, section 2). squash: scale both sides, which
    changes the proportions, as Caffe's preparation of ImageNet does. Both are bicubic."""
    train_split: str = "train"
    """The training split of a TFDS data set, or the subfolder with the training images."""
    test_split: str = "test"
    """The test split, named in the same way."""
    validation_split: str | None = None
    """The validation split. None holds out validation_fraction of the training images."""
    validation_fraction: float = 0.0
    """Fraction of the training images that is held out for validation."""
    fold_in_epoch: int | None = None
    """Epoch from which the run trains on the validation images, too, and no longer evaluates on them, as the runs of
    cuda-convnet do with their fifth batch. An epoch keeps its number of steps. None never trains on them."""
    test_fraction: float = 0.1
    """Fraction of a folder's images that is held out for testing, if the folder has no train and test subfolders."""
    split_seed: int = 0
    """Random seed of the choice of held-out images."""
    max_unreadable: float = 0.05
    """Fraction of the training images that may be unreadable. The next image takes the place of each. More images stop
    the run."""
    train_examples: int | None = None
    """Number of training images. `alexnet train` sets it from the data."""

    def __post_init__(self) -> None:
        check_types(self, self.section)
        check(self.dataset.isprintable() and bool(self.dataset), "data.dataset", self.dataset, "use a name or a folder")
        check_positive(self, "image_size", "fold_in_epoch", "train_examples")
        check_fraction(self, "validation_fraction", "test_fraction", "max_unreadable")
        check_positive(self, "test_fraction")
        check_not_negative(self, "split_seed")
        check(
            self.validation_split is None or self.validation_fraction == 0,
            "data.validation_fraction",
            self.validation_fraction,
            f"use 0 with validation_split {self.validation_split!r}, or no validation_split",
        )
        if self.fold_in_epoch is not None:
            remedy = "use None, or hold out validation images that are not the test images"
            holds_out = self.validation_split not in (None, self.test_split) or self.validation_fraction > 0
            check(holds_out, "data.fold_in_epoch", self.fold_in_epoch, remedy)


@dataclass(frozen=True)
class AugmentConfig:
    """Preprocessing on the device: random crops in training, the centre crop or ten crops in evaluation."""

    section: ClassVar[str] = "augment."

    random_crop: Literal["shift", "resize", "center"] = "shift"
    """shift: crops at random positions (paper, section 4.1). resize: boxes of 8% to 100% of the area with aspect ratios
    from 3:4 to 4:3, resized (torchvision's RandomResizedCrop). center: the centre crop, as in evaluation."""
    images_per_crop: int = 1
    """Number of neighbouring images in a batch that share one crop position and flip: 32 in the authors' code of 2012,
    1 in that of 2014."""
    horizontal_flip: bool = True
    """Flip each training image with probability 1/2 (paper, section 4.1)."""
    mean: Literal["image", "channel"] = "image"
    """Subtract the mean image of the training set (paper, section 2), or the mean of each channel."""
    mean_crop: Literal["same", "center"] = "same"
    """same: crop and flip the mean image with the image. center: subtract its centre from every crop after the flip, as
    the authors' code does."""
    divide_by_stddev: bool = False
    """Divide by the standard deviation of each channel."""
    pixel_scale: float = 1.0
    """Factor of the pixels, after the mean is subtracted: 1/256 in NVIDIA's recipes for large batches."""
    statistics: Literal["measured", "imagenet"] = "measured"
    """measured: the mean and the standard deviation of the training set, as `alexnet prepare` stored them, or of at
    most 10,000 of its images. imagenet: the constants of torchvision's recipes, means of 0.485, 0.456 and 0.406 and
    standard deviations of 0.229, 0.224 and 0.225 of pixels in 0..1."""
    pca_colour_noise: float = 0.1
    """Standard deviation of alpha, the random factor of each colour component (paper, section 4.1). 0 turns it off."""
    pca_colour_noise_scale: Literal["standard_deviation", "eigenvalue"] = "standard_deviation"
    """What alpha multiplies: the standard deviation of each component (the authors' code), or its variance, the
    eigenvalue (the paper's text). The paper does not say on which scale of pixels the eigenvalues are. Here it is 0..1:
    the largest eigenvalue of ImageNet shifts colours by about 6 of 255, and by 1,480 if the scale were 0..255. The
    standard deviation shifts them by 12."""
    pca_colour_noise_until: float | None = None
    """Epoch at which colour noise ends. None keeps it to the end of the run."""
    pca_colour_noise_divisor: float = 1.0
    """Divisor of the pixels while colour noise is on. The authors' code used 1.1."""

    def __post_init__(self) -> None:
        check_types(self, self.section)
        check_not_negative(self, "pca_colour_noise")
        check_positive(self, "images_per_crop", "pixel_scale", "pca_colour_noise_until", "pca_colour_noise_divisor")
        remedy = "use 'same', because augment.random_crop is 'resize'"
        check(self.random_crop != "resize" or self.mean_crop == "same", "augment.mean_crop", self.mean_crop, remedy)
        if self.statistics == "imagenet":
            remedy = "use 'channel', because augment.statistics is 'imagenet'"
            check(self.mean == "channel", "augment.mean", self.mean, remedy)
            remedy = "use 0, because augment.statistics is 'imagenet', which has no principal components"
            check(self.pca_colour_noise == 0, "augment.pca_colour_noise", self.pca_colour_noise, remedy)


@dataclass(frozen=True)
class TrainConfig:
    """A run. Hashable, so it can be a static argument of ``jax.jit``."""

    section: ClassVar[str] = ""

    model: ModelConfig
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    batch_size: int = 128
    """Images in a step, over all devices."""
    micro_batches: int = 1
    """Equal parts of a batch whose gradients are computed one after another, to need less memory."""
    epochs: int = 90
    """Passes over the training images."""
    steps_per_dispatch: int = 1
    """Training steps in one dispatch to the device. More than 1 speeds up small nets."""
    dtype: Dtype = "float32"
    """Dtype of activations and products. Weights, updates, sums of normalisation and the loss stay float32."""
    label_smoothing: float = 0.0
    """Probability that the loss of training spreads evenly over all classes. Reported losses are without it."""
    init: str | None = None
    """Run directory, weights file or name of trained weights to start from. A classifier for other classes is
    initialised randomly."""
    keep_frozen_outputs: bool = True
    """Compute the outputs of the first layers once per image and keep them in the run directory, where
    optimizer.frozen has these layers, augment.random_crop is center, and there is no colour noise. A flip is a second
    copy."""
    seed: int = 0
    """Random seed of the initial weights, the order of images, augmentation and dropout."""
    evaluate_every: int = 1
    """Epochs between evaluations."""
    views: Views = "center"
    """Crops from which an image is classified, in training and afterwards: the centre crop, center-flip for the mean of
    the probabilities of this and its reflection, or ten-crop for that of ten crops (paper, section 4.1)."""
    checkpoint_every: int = 1000
    """Steps between checkpoints. Each evaluation also saves one. The two latest and the best are kept."""
    keep_every: int | None = None
    """Also keep a checkpoint every so many epochs. None: only the latest two and the best."""
    on_nan: Literal["stop", "skip"] = "stop"
    """What to do when a loss or a gradient is infinite or not a number. stop: end the run. skip: pass over the batch
    and count it. A whole epoch of such batches ends the run."""
    log_every: int = 50
    """Steps between lines of training metrics."""

    def __post_init__(self) -> None:
        check_types(self, self.section)
        check_finite(self, "")
        check_positive(
            self,
            "batch_size",
            "micro_batches",
            "epochs",
            "steps_per_dispatch",
            "evaluate_every",
            "checkpoint_every",
            "keep_every",
            "log_every",
        )
        check_fraction(self, "label_smoothing")
        check_fields(self, ("seed",), lambda value: 0 <= value < 2**32, "use 0 to 4294967295")
        remedy = f"use at least {self.model.image_size}, the net's crop, or a smaller model.image_size"
        check(self.data.image_size >= self.model.image_size, "data.image_size", self.data.image_size, remedy)
        known = self.model.layer_names
        for section, names in (
            ("optimizer.frozen", self.optimizer.frozen),
            ("optimizer.layer_decay", [layer for layer, _ in self.optimizer.layer_decay]),
            ("schedule.layer_rates", [layer for layer, *_ in self.schedule.layer_rates]),
        ):
            for name in names:
                check(name in known, section, name, f"use one of {', '.join(known)}")
        examples = self.data.train_examples
        if examples is not None:
            remedy = f"use at most {examples}, the number of training images"
            check(self.batch_size <= examples, "batch_size", self.batch_size, remedy)
            most = _MAX_STEPS // self.steps_per_epoch
            check(self.epochs <= most, "epochs", self.epochs, f"use at most {most}, because steps are counted in int32")
        fold_in = self.data.fold_in_epoch
        remedy = "use None, because schedule.rule is 'plateau', which needs the validation images to the end"
        check(fold_in is None or self.schedule.rule != "plateau", "data.fold_in_epoch", fold_in, remedy)
        count = self.micro_batches
        remedy = f"use a divisor of the batch size, {self.batch_size}"
        check(self.batch_size % count == 0, "micro_batches", count, remedy)
        count = self.augment.images_per_crop
        part = "batch size" if self.micro_batches == 1 else "size of a micro-batch"
        remedy = f"use a divisor of the {part}, {self.micro_batch_size}"
        check(self.micro_batch_size % count == 0, "augment.images_per_crop", count, remedy)

    @property
    def micro_batch_size(self) -> int:
        """Images whose gradients are computed at once."""
        return self.batch_size // self.micro_batches

    @property
    def kept_layer(self) -> str | None:
        """The layer whose outputs the run keeps: the last before which nothing changes from step to step.

        None if the first layer is trained, or reads another crop or other colours in each step.
        """
        varies = self.augment.random_crop != "center" or self.augment.pca_colour_noise > 0
        if varies or not self.keep_frozen_outputs or self.data.fold_in_epoch is not None:
            return None

        def is_constant(layer: Layer) -> bool:
            if layer.config is None:
                return layer.operation not in ("dropout", "batch_norm")
            return layer.name in self.optimizer.frozen and layer.operation != "classifier"

        constant = [layer.name for layer in takewhile(is_constant, self.model.layers())]
        return constant[-1] if constant else None

    @property
    def first_trained_layer(self) -> str | None:
        """The layer that reads the outputs of ``kept_layer``. None if the run keeps none."""
        names = [layer.name for layer in self.model.layers()]
        return None if self.kept_layer is None else names[names.index(self.kept_layer) + 1]

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in an epoch. Each epoch leaves out the images that do not fill a batch.

        Raises:
            UsageError: ``data.train_examples`` is None.
        """
        if self.data.train_examples is None:
            raise UsageError("data.train_examples is None: use the number of training images, as alexnet train does")
        return self.data.train_examples // self.batch_size

    @property
    def steps(self) -> int:
        """Training steps of the run."""
        return self.epochs * self.steps_per_epoch

    @property
    def fold_in_step(self) -> int | None:
        """The number of steps after which the run trains on the validation images, too. None if it never does."""
        return None if self.data.fold_in_epoch is None else self.step_of(self.data.fold_in_epoch)

    def step_of(self, epoch: float) -> int:
        """The step at which ``epoch``, which can be a fraction, begins. It is at most the largest int32."""
        return min(round(epoch * self.steps_per_epoch), _MAX_STEPS)
