"""The outputs of frozen layers, kept for each image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import alexnet_jax as alexnet
from alexnet_jax.config import AugmentConfig, DataConfig, DenseConfig, OptimizerConfig
from alexnet_jax.data.identity import identify
from alexnet_jax.data.source import DataSet, Source
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.training import kept_outputs
from alexnet_jax.training.kept_outputs import KeptOutputs, keep_outputs
from alexnet_jax.training.layouts import choose_layout
from tests.helpers.nets import tiny_config
from tests.helpers.slow import slow

KEY = jax.random.key(3)
CONVS = ("conv1", "conv2", "conv3", "conv4", "conv5")
SIZE = tiny_config().data.image_size


class Images(Source):
    """Random images of three classes."""

    def __init__(self, count):
        self.images = np.random.default_rng(count).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return {"image": self.images[index], "label": np.int32(index % 3)}

    @property
    def image_shape(self):
        return SIZE, SIZE, 3

    def name(self, index):
        return f"image {index}"


@pytest.fixture
def config():
    config = tiny_config()
    return replace(
        config,
        model=replace(config.model, classes=3, dense=(DenseConfig(6),)),
        data=DataConfig(image_size=SIZE, train_examples=8),
        augment=AugmentConfig(random_crop="center", pca_colour_noise=0.0, mean="channel"),
        optimizer=OptimizerConfig(frozen=CONVS),
        batch_size=4,
    )


@pytest.fixture
def data():
    return DataSet(Images(8), Images(5), None, ("a", "b", "c"), Path())


def batch_of(source, count=4):
    return source.read_batch(np.arange(count), count)


@pytest.mark.parametrize(
    ("devices", "views"),
    [slow(1, "center"), slow(2, "center"), (1, "center-flip"), slow(2, "ten-crop")],
)
def test_steps_on_kept_outputs_are_those_on_images(config, data, tmp_path, devices, views):
    config = replace(config, views=views)
    layout = choose_layout(config, devices)
    state = alexnet.create_train_state(config, KEY)
    state = state.replace(statistics=state.statistics.replace(mean=np.zeros(3, np.float32)))
    kept = keep_outputs(data, identify(data), config, layout, layout.place(state), tmp_path)
    assert isinstance(kept.train, KeptOutputs)
    results = []
    for one in (data, kept):
        placed = layout.place(state)
        errors = layout.eval_step(placed, batch_of(one.test, 5))
        for _ in range(2):
            placed, metrics = layout.train_step(placed, batch_of(one.train), KEY)
        results.append((layout.collect(placed).params, jax.device_get(errors), jax.device_get(metrics)))
    (params, *metrics), (kept_params, *kept_metrics) = results
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), metrics, kept_metrics)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), params, kept_params)
    for name in CONVS:
        jax.tree.map(np.testing.assert_array_equal, kept_params[name], jax.device_get(state.params[name]))
    assert not np.array_equal(kept_params["fc6"]["kernel"], state.params["fc6"]["kernel"])


def test_kept_outputs_of_other_views_are_refused(config, data, tmp_path):
    config = replace(config, views="center-flip")
    layout = choose_layout(config, 1)
    state = layout.place(alexnet.create_train_state(config, KEY))
    kept = keep_outputs(data, identify(data), config, layout, state, tmp_path)
    with pytest.raises(UsageError, match=r"^views is 'center': use 'center-flip' for a batch of kept outputs"):
        layout.eval_step(state, batch_of(kept.test, 5), "center")


def test_files_are_read_again_and_damaged_or_foreign_ones_made_again(config, data, tmp_path):
    layout = choose_layout(config, 1)
    state = alexnet.create_train_state(config, KEY)
    computed = []

    def keep(state, data=data, config=config):
        computed.clear()
        placed, identity = layout.place(state), identify(data)
        return keep_outputs(data, identity, config, layout, placed, tmp_path, on_batch=computed.append).train.records

    first = np.array(keep(state))
    assert len(computed) == 2
    keep(state)
    assert computed == []
    content = bytearray((tmp_path / "train.bin").read_bytes())
    content[50] ^= 1
    (tmp_path / "train.bin").write_bytes(content)
    assert keep(state).tobytes() == first.tobytes()
    assert len(computed) == 1
    other = alexnet.create_train_state(config, jax.random.key(4))
    assert keep(other).tobytes() != first.tobytes()


@pytest.mark.parametrize("changed", ["labels", "pixel_scale"])
def test_outputs_of_other_data_or_another_recipe_are_made_again(config, data, tmp_path, changed):
    layout = choose_layout(config, 1)
    state = layout.place(alexnet.create_train_state(config, KEY))
    keep_outputs(data, identify(data), config, layout, state, tmp_path)
    if changed == "labels":
        identity = replace(identify(data), classes=("a", "c", "b"))
    else:
        identity, config = identify(data), replace(config, augment=replace(config.augment, pixel_scale=2.0))
    computed = []
    keep_outputs(data, identity, config, layout, state, tmp_path, on_batch=computed.append)
    assert len(computed) == 2


@pytest.mark.parametrize(
    ("changes", "layer"),
    [
        ({}, "pool5"),
        ({"keep_frozen_outputs": False}, None),
        ({"augment": AugmentConfig(pca_colour_noise=0.0)}, None),
        ({"augment": AugmentConfig(random_crop="center")}, None),
        ({"optimizer": OptimizerConfig(frozen=CONVS[1:])}, None),
        ({"optimizer": OptimizerConfig(frozen=(*CONVS[:2], "fc6"))}, "pool2"),
        ({"optimizer": OptimizerConfig(frozen=(*CONVS, "fc6", "fc7"))}, "relu6"),
    ],
)
def test_the_last_layer_before_which_nothing_changes_is_kept(config, changes, layer):
    assert replace(config, **changes).kept_layer == layer


def test_too_little_space_is_an_error_in_one_line(config, data, tmp_path, monkeypatch):
    layout = choose_layout(config, 1)
    state = layout.place(alexnet.create_train_state(config, KEY))
    monkeypatch.setattr(kept_outputs.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(UsageError, match=r"^keep_frozen_outputs is True: .*--no_keep_frozen_outputs$"):
        keep_outputs(data, identify(data), config, layout, state, tmp_path / "outputs")


def test_a_disk_that_fails_is_an_error_in_one_line(config, data, tmp_path):
    layout = choose_layout(config, 1)
    state = layout.place(alexnet.create_train_state(config, KEY))
    (tmp_path / "train.bin").mkdir()
    with pytest.raises(AlexNetError, match="the outputs of frozen layers cannot be kept"):
        keep_outputs(data, identify(data), config, layout, state, tmp_path)
