"""Training examples that the devices hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import alexnet_jax as alexnet
from alexnet_jax.config import AugmentConfig, DataConfig, DenseConfig, OptimizerConfig
from alexnet_jax.data.identity import identify
from alexnet_jax.data.source import DataSet
from alexnet_jax.training import held_examples
from alexnet_jax.training.dispatch import dispatches, distinct_group_sizes
from alexnet_jax.training.held_examples import hold_examples
from alexnet_jax.training.kept_outputs import keep_outputs
from alexnet_jax.training.layouts import choose_layout
from alexnet_jax.training.start import run_keys
from tests.helpers.command import alexnet as run_command
from tests.helpers.nets import tiny_config
from tests.helpers.slow import slow
from tests.helpers.sources import Examples

SIZE = tiny_config().data.image_size


def examples(count, seed):
    images = np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)
    return Examples([{"image": image, "label": np.int32(index % 10)} for index, image in enumerate(images)])


DATA = DataSet(examples(14, 0), examples(4, 1), examples(6, 2), tuple("abcdefghij"), Path())


@pytest.fixture
def config():
    """Two epochs of three steps, and one epoch on the validation images, too."""
    data = DataConfig(image_size=SIZE, train_examples=14, validation_fraction=0.3, fold_in_epoch=2)
    return replace(tiny_config(data=data, batch_size=4, epochs=3))


def trained(config, layout, data, held, start=0):
    """The parameters and the metrics of a run."""
    _, key = run_keys(config)
    state = layout.place(alexnet.create_train_state(config, jax.random.key(1)).replace(step=np.int32(start)))
    rows = []
    groups = dispatches(data.train, config, start, data.validation, layout.rows, held)
    for count, (_, batches) in enumerate(groups):
        if count == 0:
            layout.compile_train_steps(state, batches[0], key, distinct_group_sizes(config, start))
        state, metrics = layout.train_steps(state, batches, key)
        rows.append(jax.device_get(metrics))
    return layout.collect(state).params, rows


@pytest.mark.parametrize(
    ("devices", "name", "steps_per_dispatch", "start"),
    [
        slow(1, "single", 1, 0),
        slow(1, "single", 2, 4),
        (2, "towers", 1, 0),
        slow(2, "data", 1, 0),
        slow(2, "towers", 2, 0),
        slow(2, "mesh", 1, 4),
        slow(2, "hybrid", 2, 0),
    ],
)
def test_a_run_is_that_on_streamed_batches_bit_for_bit(config, devices, name, steps_per_dispatch, start):
    config = replace(config, steps_per_dispatch=steps_per_dispatch)
    layout = choose_layout(config, devices, name)
    streamed = trained(config, layout, DATA, held=False, start=start)
    assert hold_examples(DATA, config, layout)
    jax.tree.map(np.testing.assert_array_equal, trained(config, layout, DATA, held=True, start=start), streamed)


@pytest.mark.slow
def test_kept_outputs_are_held_as_well(config, tmp_path):
    convs = ("conv1", "conv2", "conv3", "conv4", "conv5")
    config = replace(
        config,
        model=replace(config.model, dense=(DenseConfig(6),)),
        data=DataConfig(image_size=SIZE, train_examples=14),
        augment=AugmentConfig(random_crop="center", pca_colour_noise=0.0, mean="channel"),
        optimizer=OptimizerConfig(frozen=convs),
    )
    layout = choose_layout(config, 1)
    state = layout.place(alexnet.create_train_state(config, jax.random.key(1)))
    data = replace(DATA, validation=None)
    data = keep_outputs(data, identify(data), config, layout, state, tmp_path)
    streamed = trained(config, layout, data, held=False)
    assert hold_examples(data, config, layout)
    jax.tree.map(np.testing.assert_array_equal, trained(config, layout, data, held=True), streamed)


@pytest.mark.parametrize(("most", "fits"), [(20 * SIZE * SIZE * 3, True), (20 * SIZE * SIZE * 3 - 1, False)])
def test_the_budget_counts_the_images_to_train_on(config, monkeypatch, most, fits):
    monkeypatch.setattr(held_examples, "MOST_REMEMBERED", most)
    shown = []
    assert hold_examples(DATA, config, choose_layout(config, 1), shown.append) is fits
    assert shown == ["20 of 20 training images read"] * fits


def test_the_devices_of_a_cpu_share_its_memory(config, monkeypatch):
    monkeypatch.setattr(held_examples, "usable_memory", lambda: 8 * 20 * SIZE * SIZE * 3)
    assert hold_examples(DATA, config, choose_layout(config, 1))
    assert not hold_examples(DATA, config, choose_layout(config, 2))


@pytest.mark.slow
def test_the_command_gives_the_same_parameters_on_either_path(photos, tmp_path, monkeypatch):
    folder = photos(per_class=12, splits=("train", "test"))
    (folder / "train" / "cat" / "3.png").write_bytes(b"not an image")
    options = ["--data.dataset", folder, "--preset", "quickstart", "--batch_size", 4, "--epochs", 1]
    options += ["--data.max_unreadable", 0.2, "--data.train_split", "train"]
    ends = []
    for most in (2**30, 0):
        monkeypatch.setattr(held_examples, "MOST_REMEMBERED", most)
        done = run_command("train", "--workdir", tmp_path / str(most), *options)
        assert done.returncode == 0, done.stderr
        ends.append([line for line in done.stdout.splitlines() if "SHA-256" in line or "unreadable" in line])
        assert "cat/3.png cannot be read" in done.stdout
    assert ends[0][-1] == ends[1][-1]
