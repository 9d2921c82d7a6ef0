"""AlexNet (Krizhevsky, Sutskever and Hinton, 2012) as pure functions in JAX and Flax.

Names are imported when they are first used: importing the package starts neither JAX nor TFDS.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alexnet_jax.config import ModelConfig, TrainConfig
    from alexnet_jax.data.statistics import Statistics
    from alexnet_jax.errors import AlexNetError, UsageError
    from alexnet_jax.model import AlexNet
    from alexnet_jax.presets import preset
    from alexnet_jax.steps import eval_step, loss_fn, predict_step, train_step, train_steps
    from alexnet_jax.train_state import TrainState, create_train_state
    from alexnet_jax.variants import variant
    from alexnet_jax.weights.files import load_weights

__version__ = "0.1.0"

_HOMES = {
    "AlexNet": "model",
    "AlexNetError": "errors",
    "ModelConfig": "config",
    "Statistics": "data.statistics",
    "TrainConfig": "config",
    "TrainState": "train_state",
    "UsageError": "errors",
    "create_train_state": "train_state",
    "eval_step": "steps",
    "load_weights": "weights.files",
    "loss_fn": "steps",
    "predict_step": "steps",
    "preset": "presets",
    "train_step": "steps",
    "train_steps": "steps",
    "variant": "variants",
}

__all__ = [
    "AlexNet",
    "AlexNetError",
    "ModelConfig",
    "Statistics",
    "TrainConfig",
    "TrainState",
    "UsageError",
    "create_train_state",
    "eval_step",
    "load_weights",
    "loss_fn",
    "predict_step",
    "preset",
    "train_step",
    "train_steps",
    "variant",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
