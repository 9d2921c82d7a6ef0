"""Read-outs: their numbers, their files, and that they go on after any end."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
from functools import partial

import h5py
import jax
import numpy as np
import pytest
from scipy.io import loadmat

import alexnet_jax
from alexnet_jax.data.image_array import ImageArray
from alexnet_jax.errors import AlexNetError, NotFiniteError, UsageError
from alexnet_jax.readout import draft, feature_file, reduction
from alexnet_jax.readout.control import untrained
from alexnet_jax.readout.feature_file import matlab_name, open_features
from alexnet_jax.readout.layers import find_layers
from alexnet_jax.readout.reduction import Reduction
from alexnet_jax.readout.run import Progress, ReadOut, components_file, read_out
from alexnet_jax.signals import StoppedError

LAYERS = ("pool1", "features.12", "fc6")


@pytest.fixture
def source(stimuli):
    return ImageArray(stimuli, "/group/imgBrick", 32, 3, "crop")


@pytest.fixture
def what(weights, source):
    return ReadOut(weights, source, find_layers(LAYERS, weights.params, weights.config.model))


@pytest.fixture(scope="module")
def expected(weights, images):
    """By the public functions."""
    crops = alexnet_jax.preprocess(images, weights.statistics, weights.config)
    found = alexnet_jax.features(weights.params, crops, weights.config.model, ["pool1", "pool5", "fc6"])
    return {"pool1": found["pool1"], "features.12": found["pool5"], "fc6": found["fc6"]}


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class KilledError(Exception):
    """Like a signal that ends the process: nothing handles it."""


def killed_after(batches, error=KilledError):
    calls = []

    def check():
        calls.append(None)
        if len(calls) == batches:
            raise error

    return Progress(check_stop=check)


def read(path, name):
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return file[name][:]
    return np.load(path)[name] if path.suffix == ".npz" else loadmat(path)[matlab_name(name)]


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_the_arrays_are_the_features_in_the_order_of_the_order_file(what, expected, tmp_path, suffix):
    out = tmp_path / f"features{suffix}"
    result = read_out(what, out)
    assert result.shapes == {name: np.shape(array) for name, array in expected.items()}
    for name, array in expected.items():
        np.testing.assert_allclose(read(out, name), array, rtol=1e-4, atol=1e-5)
    order = (tmp_path / f"features{suffix}.order.txt").read_text().splitlines()
    assert order == [f"/group/imgBrick[{index}]" for index in range(150)]
    assert sorted(tmp_path.iterdir()) == [out, tmp_path / f"{out.name}.order.txt"]
    opened = open_features(out)
    assert set(opened.layers) == {matlab_name(name) if suffix == ".mat" else name for name in LAYERS}
    assert (opened.count, opened.order) == (150, tuple(order))


@pytest.mark.parametrize(
    ("error", "pca", "ends"),
    [
        (KilledError, None, (1, 2, 2)),
        (KilledError, 5, (1, 2, 3, 2)),
        (StoppedError, None, (1, 1)),
        (StoppedError, 5, (1, 1, 1, 1)),
    ],
)
def test_a_killed_read_out_goes_on_to_the_same_bytes(what, tmp_path, monkeypatch, error, pca, ends):
    monkeypatch.setattr(draft, "_SECONDS_BETWEEN_COMMITS", np.inf)  # on a slow machine, too
    what = dataclasses.replace(what, reduction=Reduction(pca=pca))
    read_out(what, tmp_path / "whole.h5")
    out = tmp_path / "killed.h5"
    for batches in ends:
        with pytest.raises(error):
            read_out(what, out, killed_after(batches, error))
        assert not out.exists()
    result = read_out(what, out)
    assert digest(out) == digest(tmp_path / "whole.h5")
    assert result.resumed == (0 if error is KilledError else 128)
    assert not list(tmp_path.glob("*.part*"))
    if pca is not None:
        assert components_file(out).exists()


def test_a_finished_read_out_is_not_read_again(what, tmp_path):
    out = tmp_path / "features.npz"
    read_out(what, out)
    before = digest(out)
    assert read_out(what, out, Progress(advance=lambda done, count: pytest.fail("read again"))).resumed == 150
    assert digest(out) == before


def test_files_of_other_read_outs_are_kept(what, tmp_path, weights):
    out = tmp_path / "features.h5"
    read_out(what, out)
    before = digest(out)
    other = dataclasses.replace(what, layers={"fc7": "fc7"})
    with pytest.raises(UsageError, match="already exists and holds a read-out with other layers; remove it"):
        read_out(other, out)
    control = dataclasses.replace(what, weights=untrained(weights, 1), untrained=1)
    with pytest.raises(UsageError, match="with other net, untrained; remove it"):
        read_out(control, out)
    assert digest(out) == before
    foreign = tmp_path / "mine.h5"
    foreign.write_bytes(b"mine")
    with pytest.raises(UsageError, match="already exists and is not a read-out"):
        read_out(what, foreign)
    assert foreign.read_bytes() == b"mine"


def test_an_array_of_other_pixels_is_another_read_out(what, source, tmp_path):
    other = tmp_path / "other.h5"
    shutil.copy(source.file, other)
    with h5py.File(other, "r+") as file:
        file["/group/imgBrick"][-1] ^= 1
    out = tmp_path / "features.h5"
    read_out(what, out)
    changed = dataclasses.replace(what, source=ImageArray(other, "/group/imgBrick", 32, 3, "crop"))
    with pytest.raises(UsageError, match="already exists and holds a read-out with other images; remove it"):
        read_out(changed, out)


def test_an_unfinished_read_out_of_something_else_is_kept(what, tmp_path):
    out = tmp_path / "features.h5"
    with pytest.raises(StoppedError):
        read_out(what, out, killed_after(1, StoppedError))
    other = dataclasses.replace(what, reduction=Reduction(spatial_mean=True))
    with pytest.raises(UsageError, match=r"features.h5.part: holds an unfinished read-out with other reduction"):
        read_out(other, out)
    (tmp_path / "features.h5.part.json").unlink()
    with pytest.raises(UsageError, match=r"features.h5.part: exists and is not an unfinished read-out"):
        read_out(what, out)


def test_a_damaged_draft_is_named(what, tmp_path):
    out = tmp_path / "features.h5"
    with pytest.raises(StoppedError):
        read_out(what, out, killed_after(1, StoppedError))
    part = tmp_path / "features.h5.part"
    part.write_bytes(part.read_bytes()[:5000])
    with pytest.raises(AlexNetError, match="is truncated"):
        read_out(what, out)
    (tmp_path / "features.h5.part.json").write_text("{")
    with pytest.raises(AlexNetError, match=r"damaged; remove it and features\.h5\.part"):
        read_out(what, out)


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (".npz", "all layers together would take"),
        (".mat", "pool1 would take"),
        (".txt", "unknown format; name a file ending in .h5"),
    ],
)
def test_what_a_format_cannot_hold_is_refused(what, tmp_path, monkeypatch, suffix, message):
    monkeypatch.setattr(feature_file, "_MOST_BYTES", {".npz": 10**6, ".mat": 10**6})
    with pytest.raises(UsageError, match=message):
        read_out(what, tmp_path / f"features{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_refused_before_the_work(what, tmp_path, monkeypatch):
    usage = draft.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(draft.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(AlexNetError, match="of free space, and the features take"):
        read_out(what, tmp_path / "features.h5")
    assert not list(tmp_path.iterdir())


def test_spatial_mean_projection_and_components_reduce_the_layers(what, expected, tmp_path):
    def result(name, **options):
        read_out(dataclasses.replace(what, reduction=Reduction(**options)), tmp_path / name)
        return read(tmp_path / name, "pool1"), read(tmp_path / name, "fc6")

    pool1, fc6 = np.asarray(expected["pool1"]), np.asarray(expected["fc6"])
    mean, same = result("mean.h5", spatial_mean=True)
    np.testing.assert_allclose(mean, pool1.mean((1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(same, fc6, rtol=1e-4, atol=1e-5)
    projected, small = result("projected.h5", random_projection=130)
    assert projected.shape == (150, 130)
    np.testing.assert_allclose(small, fc6, rtol=1e-4, atol=1e-5)  # 128 numbers already
    scores, _ = result("components.h5", pca=4)
    flat = pool1.reshape(150, -1).astype(np.float64)
    flat -= flat.mean(0)
    u, s, _ = np.linalg.svd(flat, full_matrices=False)
    np.testing.assert_allclose(np.abs(scores), np.abs(u[:, :4] * s[:4]), rtol=1e-2, atol=1e-4 * s[0])


def test_components_come_from_a_sample_of_many_images(what, tmp_path, monkeypatch):
    from alexnet_jax.readout import run

    monkeypatch.setattr(run, "PCA_IMAGES", 20)
    monkeypatch.setattr(reduction, "PCA_IMAGES", 20)
    lines = []
    sampled = dataclasses.replace(what, reduction=Reduction(pca=3))
    result = read_out(sampled, tmp_path / "features.h5", Progress(say=lines.append))
    assert "reading 20 images for the components" in lines
    assert read(tmp_path / "features.h5", "pool1").shape == (150, 3)
    assert 0 < result.explained["pool1"] < 1
    with pytest.raises(UsageError, match=r"--pca is 20: use at most 19, one less than the 20 images"):
        read_out(dataclasses.replace(what, reduction=Reduction(pca=20)), tmp_path / "other.h5")


@pytest.mark.slow
def test_the_untrained_control_is_drawn_by_its_seed(weights):
    control = untrained(weights, 5)
    drawn = alexnet_jax.create_train_state(weights.config, jax.random.key(5)).params
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-8), control.params, drawn)
    assert control.statistics is weights.statistics
    assert not np.array_equal(control.params["conv1"]["kernel"], weights.params["conv1"]["kernel"])


def test_features_that_are_not_finite_are_refused(what, weights, tmp_path):
    params = jax.tree.map(np.copy, weights.params)
    params["fc6"]["kernel"][3, 4] = np.nan
    damaged = dataclasses.replace(what, weights=dataclasses.replace(weights, params=params))
    with pytest.raises(NotFiniteError, match="the features of fc6 are not finite"):
        read_out(damaged, tmp_path / "features.h5")


def test_the_facts_are_values_for_json(what):
    assert json.loads(json.dumps(what.facts())) == what.facts()
    assert re.fullmatch("[0-9a-f]{64}", what.facts()["net"])
