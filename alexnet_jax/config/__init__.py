"""Configs of nets and runs, as frozen dataclasses that check their fields.

``ModelConfig`` describes a net (``variants`` has the named ones) and ``TrainConfig`` a run (``presets``). The flags of
the command line are generated from these classes: a field and its flag have the same name, default and help.
"""

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
from alexnet_jax.config.model import Layer, ModelConfig
from alexnet_jax.config.optimizer import OptimizerConfig
from alexnet_jax.config.run import AugmentConfig, DataConfig, Dtype, Resize, TrainConfig, Views
from alexnet_jax.config.schedule import ScheduleConfig

__all__ = [
    "AugmentConfig",
    "AveragePool",
    "BatchNorm",
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
    "Resize",
    "ScheduleConfig",
    "SpatialResponseNorm",
    "TrainConfig",
    "Views",
]
