"""Batches, and statistics of a training set."""

from __future__ import annotations

import numpy as np
import pytest

from alexnet_jax.batch import PADDING_LABEL
from alexnet_jax.config import DataConfig
from alexnet_jax.data.dataset import open_dataset
from alexnet_jax.data.measure_statistics import measure_statistics
from alexnet_jax.data.pipeline import evaluation_batches, training_batches


@pytest.fixture(scope="module")
def source():
    """1,000 images."""
    return open_dataset(DataConfig()).test


def test_batches_depend_on_seed_and_step_alone(source):
    first = training_batches(source, 300, seed=1)
    batches = [next(first) for _ in range(7)]  # three batches an epoch
    resumed = training_batches(source, 300, seed=1, start=5)
    for batch in batches[5:]:
        np.testing.assert_array_equal(next(resumed)["image"], batch["image"])
    other = next(training_batches(source, 300, seed=2))
    assert not np.array_equal(other["label"], batches[0]["label"])
    assert batches[0]["image"].dtype == np.uint8
    assert batches[0]["label"].dtype == np.int32


def test_epoch_has_each_image_at_most_once_and_epochs_differ(source):
    batches = training_batches(source, 300, seed=1)
    epochs = [np.concatenate([next(batches)["image"] for _ in range(3)]).reshape(900, -1) for _ in range(2)]
    for epoch in epochs:
        assert len(np.unique(epoch, axis=0)) == 900
    assert not np.array_equal(*epochs)


def test_evaluation_batches_have_every_example_once(source):
    batches = list(evaluation_batches(source, 300))
    assert [batch["image"].shape[0] for batch in batches] == [300] * 4
    labels = np.concatenate([batch["label"] for batch in batches])
    np.testing.assert_array_equal(labels[:1000], [source[index]["label"] for index in range(1000)])
    assert (labels[1000:] == PADDING_LABEL).all()


def test_measured_statistics_are_those_of_the_pixels(source):
    images = np.stack([source[index]["image"] for index in range(len(source))]).astype(np.float64)
    measured = measure_statistics(source, per_pixel=True)
    np.testing.assert_allclose(measured.mean, images.mean(0), rtol=1e-5)
    np.testing.assert_allclose(measured.colour_covariance, np.cov(images.reshape(-1, 3).T, bias=True), rtol=1e-5)
    np.testing.assert_allclose(measure_statistics(source, False).mean, images.mean((0, 1, 2)), rtol=1e-5)
