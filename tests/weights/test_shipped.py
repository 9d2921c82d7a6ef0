"""The trained weights that come with the package."""

from __future__ import annotations

import hashlib
import re

import jax
import numpy as np
import pytest

import alexnet_jax
from alexnet_jax.errors import UsageError
from alexnet_jax.weights.shipped import HERE, TORCHVISION_FEATURES, lpips_heads
from tests.helpers.command import alexnet

WIDTHS = [64, 192, 384, 256, 256]


def test_the_files_are_those_of_the_card_and_small():
    rows = re.findall(r"^\| `(.+?)` .*\| ([\d,]+) \| `([0-9a-f]{64})` \|$", (HERE / "README.md").read_text(), re.M)
    assert len(rows) == 2
    for name, size, digest in rows:
        content = (HERE / name).read_bytes()
        assert (f"{len(content):,}", hashlib.sha256(content).hexdigest()) == (size, digest)
    assert sum((HERE / name).stat().st_size for name, *_ in rows) < 10_000_000


def test_the_heads_have_a_weight_for_each_channel_and_none_is_negative():
    heads = lpips_heads()
    assert {name: head.shape for name, head in heads.items()} == {
        f"relu{number}": (width,) for number, width in enumerate(WIDTHS, start=1)
    }
    assert all(head.dtype == np.float32 and head.min() >= 0 for head in heads.values())


def test_the_convolutions_are_torchvisions_and_trained():
    """They have torchvision's shapes, and let through some values."""
    config, params = alexnet_jax.pretrained("torchvision_features")
    assert config == alexnet_jax.variant("torchvision")
    assert [params[f"conv{number}"]["kernel"].shape[-1] for number in range(1, 6)] == WIDTHS
    assert list(params) == [f"conv{number}" for number in range(1, 6)]
    image = jax.random.normal(jax.random.key(0), (1, 224, 224, 3))
    pool5 = alexnet_jax.features(params, image, config, ["pool5"])["pool5"]
    assert pool5.shape == (1, 6, 6, 256)
    assert 0.05 < (np.asarray(pool5) > 0).mean() < 0.95


@pytest.mark.parametrize("name", ["torchvision_features", "pretrained:torchvision_features", str(TORCHVISION_FEATURES)])
def test_names_and_the_file_are_the_same_weights(name):
    assert alexnet_jax.load_weights(name).missing_layers == ("fc6", "fc7", "fc8")


def test_a_file_of_that_name_comes_before_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "torchvision_features").mkdir()
    with pytest.raises(alexnet_jax.AlexNetError, match="holds no run"):
        alexnet_jax.load_weights("torchvision_features")
    assert alexnet_jax.load_weights("pretrained:torchvision_features").missing_layers


def test_an_unknown_name_is_refused_with_the_near_ones():
    with pytest.raises(UsageError, match="unknown trained weights 'torchvision_feature': did you mean"):
        alexnet_jax.pretrained("torchvision_feature")


def test_what_needs_dense_layers_names_a_net_that_has_them(tmp_path):
    for words in (
        ("predict", "torchvision_features", "cat.png"),
        ("evaluate", "pretrained:torchvision_features"),
        ("export", "torchvision_features", tmp_path / "net.onnx"),
        ("convert", "torchvision_features", tmp_path / "net.safetensors", "--format", "torchvision"),
    ):
        done = alexnet(*words)
        assert done.returncode == 2
        assert re.fullmatch(
            r"alexnet: error: .*has no fc6, fc7, fc8; use a whole net, such as torchvision\n", done.stderr
        )
    assert not list(tmp_path.iterdir())


def test_a_copy_in_this_format_ends_at_the_same_layer(tmp_path):
    assert alexnet("convert", "torchvision_features", tmp_path / "copy.safetensors").returncode == 0
    copy = alexnet_jax.load_weights(tmp_path / "copy.safetensors")
    jax.tree.map(np.testing.assert_array_equal, copy.params, alexnet_jax.pretrained("torchvision_features")[1])


def test_summary_says_which_layers_are_missing():
    done = alexnet("summary", "torchvision_features")
    assert "missing    fc6, fc7, fc8" in done.stdout
    assert "no accuracy without these layers; pretrained:torchvision has the whole net" in " ".join(done.stdout.split())
    assert "2,469,696 parameters" in done.stdout
    assert "pool5" in done.stdout
    assert not re.search(r"^(drop|fc)6", done.stdout, re.MULTILINE)


@pytest.mark.slow
def test_a_run_starts_from_the_convolutions_with_new_dense_layers(photos, tmp_path):
    options = ["--init", "torchvision_features", "--data.dataset", photos(), "--epochs", 1, "--batch_size", 4]
    done = alexnet("train", "--workdir", tmp_path / "run", *options, "--optimizer.frozen", "conv1")
    assert done.returncode == 0, done.stderr
    assert "starts from torchvision_features, with a new fc6, fc7\n" in done.stdout
    trained, started = alexnet_jax.load_run(tmp_path / "run").params, alexnet_jax.pretrained("torchvision_features")[1]
    np.testing.assert_array_equal(trained["conv1"]["kernel"], started["conv1"]["kernel"])
    np.testing.assert_allclose(trained["conv5"]["kernel"], started["conv5"]["kernel"], atol=0.02)
