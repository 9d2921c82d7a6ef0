"""Every choice that makes a net or a run, as frozen values that are checked when they are built.

A ``ModelConfig`` is a net (``variants`` holds the named ones), a ``TrainConfig`` a whole run (``presets``).
The command line is generated from these classes, so a flag and a field are the same thing.
"""

from alexnet_jax.config.model import (
    ConvConfig,
    DenseConfig,
    Dropout,
    Layer,
    LocalResponseNorm,
    MaxPool,
    ModelConfig,
    Operation,
    SpatialResponseNorm,
)
from alexnet_jax.config.run import AugmentConfig, DataConfig, Dtype, OptimizerConfig, ScheduleConfig, TrainConfig

__all__ = [
    "AugmentConfig",
    "ConvConfig",
    "DataConfig",
    "DenseConfig",
    "Dropout",
    "Dtype",
    "Layer",
    "LocalResponseNorm",
    "MaxPool",
    "ModelConfig",
    "Operation",
    "OptimizerConfig",
    "ScheduleConfig",
    "SpatialResponseNorm",
    "TrainConfig",
]
