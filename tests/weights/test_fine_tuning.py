"""Runs that start from the weights of another run."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

from alexnet_jax.config import OptimizerConfig
from alexnet_jax.errors import UsageError
from alexnet_jax.presets import preset
from alexnet_jax.training.steps.state import abstract_train_state
from alexnet_jax.weights.fine_tuning import fine_tuning_config, start_from
from tests.helpers.nets import tiny_config, tiny_model
from tests.helpers.trees import assert_same


@pytest.fixture
def config(trained):
    """A run that starts from ``trained``."""
    return dataclasses.replace(fine_tuning_config(trained.config, tiny_config()), init="net.safetensors")


def new_state(config):
    """A state of ``config`` in which everything is zero."""
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), abstract_train_state(config))


def test_the_config_takes_the_net_of_the_weights(trained, config):
    assert config.model == trained.config.model != tiny_config().model


def test_all_parameters_are_taken_for_the_same_classes(trained, config):
    lines = []
    new = new_state(config)
    assert_same(start_from(trained, new, config, lines.append).params, trained.params)
    assert lines == ["starts from net.safetensors"]


def test_the_average_starts_at_the_parameters_that_are_taken(trained, config):
    config = dataclasses.replace(config, optimizer=OptimizerConfig(ema_decay=0.9))
    assert_same(start_from(trained, new_state(config), config).average, trained.params)


def test_the_classifier_is_new_for_other_classes(trained, config):
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, classes=4))
    lines = []
    new = new_state(config)
    state = start_from(trained, new, config, lines.append)
    assert_same(state.params, trained.params | {"fc8": new.params["fc8"]})
    assert lines == ["starts from net.safetensors, with a new fc8: 4 classes, not 10"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": tiny_model("caffe_alexnet")}, r"model\..* is .*: use .*, as net.safetensors has it"),
        ({"augment": {"divide_by_stddev": True}}, r"augment\.divide_by_stddev is True: use False, as net.safetensors"),
        ({"augment": {"pixel_scale": 0.5}}, r"augment\.pixel_scale is 0.5: use 1.0, as net.safetensors"),
        ({"data": {"image_size": 80}}, r"data\.image_size is 80: use 72, the size of net.safetensors's mean image"),
    ],
)
def test_another_net_or_normalisation_is_refused(trained, config, changes, message):
    for section, fields in changes.items():
        value = dataclasses.replace(getattr(config, section), **fields) if isinstance(fields, dict) else fields
        config = dataclasses.replace(config, **{section: value})
    with pytest.raises(UsageError, match=message):
        start_from(trained, new_state(config), config)


def test_weights_with_a_mean_image_keep_its_size():
    config = fine_tuning_config(preset("imagenet_paper"), preset("finetune"))
    assert (config.augment.mean, config.augment.statistics) == ("image", "measured")
    assert (config.data.image_size, config.model.image_size) == (256, 224)
    assert fine_tuning_config(preset("imagenet_torchvision"), preset("finetune")).data.image_size == 160
