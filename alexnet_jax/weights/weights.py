"""The trained net that every reader of weights returns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from alexnet_jax.config import ModelConfig, TrainConfig
from alexnet_jax.data.synsets import synset_names
from alexnet_jax.errors import UsageError
from alexnet_jax.net.features import layers_with_parameters
from alexnet_jax.preprocessing.statistics import Statistics
from alexnet_jax.presets import stored_size
from alexnet_jax.training.optimizer.schedule import Plateau
from alexnet_jax.training.steps.state import TrainState
from alexnet_jax.weights.channels_first import Layers, from_channels_first


@dataclass(frozen=True)
class Weights:
    """A trained net, with its preprocessing and its classes.

    Attributes:
        config: the run that it came from. For weights of another program, the recipe of that program.
        params: the parameter tree, float32: ``conv1`` to ``fc8``, each with ``kernel`` and ``bias``. It is the moving
            average if the run keeps one. The last layers are missing in weights of the convolutions only.
        statistics: the mean that ``preprocess`` subtracts and the standard deviation that it divides by.
        class_names: the names of the classes in the order of the logits; empty if they are not known.
        step: the number of training steps behind it; 0 if it is not known.
        batch_stats: the running statistics of batch normalisation: ``bn2`` and so on, each with ``mean`` and ``var``.
            Empty for a net without it.
    """

    config: TrainConfig
    params: PyTree
    statistics: Statistics
    class_names: tuple[str, ...] = ()
    step: int = 0
    batch_stats: PyTree = field(default_factory=dict)

    @property
    def missing_layers(self) -> tuple[str, ...]:
        """The layers of the net that have no parameters here: the last ones, in weights of the convolutions only."""
        return tuple(name for name in self.config.model.layer_names if name not in self.params)

    @property
    def last_layer(self) -> str | None:
        """The last layer that these weights suffice for, such as ``pool5``, or None for those of a whole net."""
        if not self.missing_layers:
            return None
        return layers_with_parameters(self.params, self.config.model)[-1]

    def check_complete(self, name: str = "weights") -> None:
        """Checks that the net has all its layers, as its logits need.

        Args:
            name: the name of the net, for the error.

        Raises:
            UsageError: it ends at a convolution.
        """
        if self.missing_layers:
            missing = ", ".join(self.missing_layers)
            raise UsageError(f"{name}: has no {missing}; use a whole net, such as torchvision")

    def state(self) -> TrainState:
        """A train state for evaluation. It has no optimizer state.

        Raises:
            UsageError: the weights have no dense layers.
        """
        self.check_complete()
        return TrainState(
            step=jnp.array(self.step, jnp.int32),
            params=self.params,
            opt_state=(),
            plateau=Plateau.start(),
            statistics=self.statistics,
            batch_stats=self.batch_stats,
        )


def weights_of_another_program(
    recipe: TrainConfig, model: ModelConfig, layers: Layers, statistics: Statistics, *, is_bgr: bool
) -> Weights:
    """Weights in the memory format of PyTorch and Caffe as ``Weights``.

    Args:
        recipe: the recipe of that program, which includes its crops.
        model: the net.
        layers: its parameters, kernels as (out, in, height, width) and (out, in).
        statistics: the pixel statistics that the net was trained with. If the mean is an image, stored images have
            its size.
        is_bgr: whether the first layer reads blue, green, red.

    Raises:
        AlexNetError: a layer is missing or has another shape.
        UsageError: the net has batch normalisation.
    """
    if model.batch_norm_names:
        raise UsageError(
            "its net has batch normalisation, whose running statistics are read from safetensors files only"
        )
    mean = np.asarray(statistics.mean)
    has_mean_image = mean.ndim == 3
    config = replace(
        recipe,
        model=model,
        data=replace(recipe.data, image_size=mean.shape[0] if has_mean_image else stored_size(model)),
        augment=replace(recipe.augment, mean="image" if has_mean_image else "channel"),
    )
    # PyTorch and Caffe both number ImageNet's classes in the order of their synset ids.
    names = tuple(synset_names().values())
    class_names = names if model.classes == len(names) else ()
    return Weights(config, from_channels_first(layers, model, is_bgr=is_bgr), statistics, class_names)
