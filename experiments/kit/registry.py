"""The experiments, by name, in the order of the results page."""

from __future__ import annotations

import importlib

from alexnet_jax.errors import unknown_name
from experiments.kit.experiment import Experiment

NAMES = (
    "relu_vs_tanh",
    "local_response_norm",
    "local_response_norm_cifar10",
    "overlapping_pooling",
    "one_tower_vs_two",
    "no_links",
    "dropout",
    "colour_noise",
    "weight_decay",
    "depth",
    "tower_specialisation",
    "retrieval",
    "ensemble",
    "single_vs_ten_crop",
    "momentum_rule",
    "initial_bias",
    "batch_norm",
    "batch_size",
)
"""The names of the experiments, which are those of their modules."""


def experiment(name: str) -> Experiment:
    """The experiment ``name``.

    Raises:
        UsageError: there is no such experiment.
    """
    if name not in NAMES:
        raise unknown_name("experiment", name, NAMES)
    return importlib.import_module(f"experiments.{name}").EXPERIMENT
