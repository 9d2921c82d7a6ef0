"""Trained weights by name: from the catalogue, from a mirror, and from the Hugging Face Hub."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import re
import shutil
from functools import partial

import numpy as np
import pytest
from PIL import Image

import alexnet_jax
from alexnet_jax.errors import AlexNetError, UsageError
from alexnet_jax.weights import download, names
from alexnet_jax.weights.catalogue import CATALOGUE
from alexnet_jax.weights.download import Patience
from alexnet_jax.weights.names import find_weights
from tests.helpers.command import alexnet
from tests.helpers.file_server import serving
from tests.helpers.references import REFERENCES
from tests.helpers.slow import slow
from tests.helpers.trees import assert_same

SAMPLES = {
    "torchvision": REFERENCES / "torch" / "tiny_torchvision.pth",
    "bvlc_alexnet": REFERENCES / "caffe" / "tiny_caffe_alexnet.caffemodel",
}
SAFETENSORS = REFERENCES / "torch" / "tiny_torchvision.safetensors"


@pytest.fixture(autouse=True)
def mirror(tmp_path, monkeypatch):
    """A mirror with tiny nets in the place of the published ones, whose checksums the catalogue then has."""
    monkeypatch.setattr(download, "PATIENCE", Patience(connect=2, stall=0.2, tries=2, pause=0.001))
    (tmp_path / "mirror").mkdir()
    (tmp_path / "elsewhere").mkdir()
    for name, sample in SAMPLES.items():
        file = CATALOGUE[name]
        shutil.copy(sample, tmp_path / "mirror" / file.name)
        digest = hashlib.new(file.algorithm, sample.read_bytes()).hexdigest()[: len(file.digest)]
        monkeypatch.setitem(CATALOGUE, name, dataclasses.replace(file, digest=digest))
    shutil.copy(SAFETENSORS, tmp_path / "mirror" / "model.safetensors")
    with serving(tmp_path / "mirror") as server:
        monkeypatch.setenv("ALEXNET_JAX_MIRROR", f"{server.url}/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.chdir(tmp_path / "elsewhere")
        yield server


def test_the_catalogue_has_the_published_checksums():
    found = {name: (file.name, file.algorithm) for name, file in CATALOGUE.items()}
    assert found == {
        "torchvision": ("alexnet-owt-7be5be79.pth", "sha256"),
        "bvlc_alexnet": ("bvlc_alexnet.caffemodel", "sha1"),
        "bvlc_reference_caffenet": ("bvlc_reference_caffenet.caffemodel", "sha1"),
    }
    assert CATALOGUE["bvlc_reference_caffenet"].digest == "4c8d77deb20ea792f84eb5e6d0a11ca0a8660a46"


def test_a_name_is_read_with_its_preprocessing(mirror, tmp_path):
    weights = alexnet_jax.load_weights("torchvision", "torchvision")
    assert mirror.requests == [("/alexnet-owt-7be5be79.pth", None)]
    assert_same(weights.params, alexnet_jax.load_weights(SAMPLES["torchvision"], "torchvision").params)
    np.testing.assert_allclose(weights.statistics.mean, [123.675, 116.28, 103.53])
    assert (tmp_path / "cache" / "alexnet_jax" / "alexnet-owt-7be5be79.pth").is_file()


def test_caffes_net_is_read_with_its_means_and_squashed_images():
    weights = alexnet_jax.load_weights("bvlc_alexnet")
    assert weights.statistics.mean.tolist() == [123.0, 117.0, 104.0]
    assert weights.config.data.resize == "squash"


def test_pretrained_gives_the_net_and_its_parameters(capsys):
    model, params = alexnet_jax.pretrained("bvlc_alexnet")
    expected = alexnet_jax.load_weights(SAMPLES["bvlc_alexnet"])
    assert model == expected.config.model
    assert_same(params, expected.params)
    assert capsys.readouterr().err.startswith("downloading http://127.0.0.1")
    alexnet_jax.pretrained("pretrained:bvlc_alexnet", progress=False)


@pytest.mark.parametrize("name", ["bvlc_alexnet", "pretrained:bvlc_alexnet"])
def test_predict_takes_a_name(mirror, name):
    Image.new("RGB", (80, 80), (200, 30, 30)).save("red.png")
    done = alexnet("predict", name, "red.png")
    assert (done.returncode, mirror.requests) == (0, [("/bvlc_alexnet.caffemodel", None)])
    assert len(re.findall(r"%  class \d$", done.stdout, re.MULTILINE)) == 5
    assert done.stdout == alexnet("predict", SAMPLES["bvlc_alexnet"], "red.png").stdout


@pytest.fixture
def photos(tmp_path):
    """A folder of two classes beside the mirror."""
    rng = np.random.default_rng(0)
    for split, kind, index in itertools.product(("train", "test"), ("cat", "dog"), range(4)):
        folder = tmp_path / "elsewhere" / "photos" / split / kind
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (80, 80, 3), dtype=np.uint8)).save(folder / f"{index}.png")


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("evaluate bvlc_alexnet --dataset photos", "8 images"),
        ("export bvlc_alexnet net.onnx", "net.onnx"),
        ("convert bvlc_alexnet net.safetensors", "parameters"),
        ("summary bvlc_alexnet", "caffe_alexnet"),
        ("features bvlc_alexnet photos --layers pool5 --out net.h5", "pool5"),
        ("nearest bvlc_alexnet photos photos/test/cat/0.png --layer pool5", "pool5"),
        slow(
            "train --init bvlc_alexnet --data.dataset photos --workdir new --epochs 1 --batch_size 4 --log_every 1",
            "with a new fc8: 2 classes, not 10",
        ),
    ],
)
def test_every_command_that_takes_a_net_takes_a_name(mirror, line, text):
    done = alexnet(*line.split())
    assert done.returncode == 0, done
    assert text in done.stdout
    assert mirror.requests == [("/bvlc_alexnet.caffemodel", None)]


def test_summary_of_a_variant_reads_no_weights(mirror):
    assert "714,188,480 MACs" in alexnet("summary", "torchvision").stdout
    assert mirror.requests == []
    done = alexnet("summary", "pretrained:torchvision", "--variant", "torchvision")
    assert "14,746 parameters" not in done.stderr
    assert mirror.requests != []


@pytest.mark.parametrize("line", ["convert torchvision net.safetensors", "features torchvision . --out net.h5"])
def test_wrong_bytes_end_the_command_with_status_1_and_are_not_kept(mirror, tmp_path, line):
    mirror.faults = ["wrong"]
    done = alexnet(*line.split())
    assert done.returncode == 1
    assert re.search(
        r"^alexnet: error: http://.*/alexnet-owt-7be5be79.pth: its SHA256 is not .* not kept; .*\n$", done.stderr, re.M
    )
    assert [file.suffix for file in (tmp_path / "cache").rglob("*") if file.is_file()] == [".lock"]
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize(
    "line",
    [
        "predict torchvision red.png",
        "features torchvision . --out new.h5",
        "nearest torchvision . red.png",
        "lpips red.png red.png --net torchvision",
        "train --init torchvision --data.dataset .",
    ],
)
def test_without_network_the_command_says_where_to_put_the_file(monkeypatch, tmp_path, line):
    monkeypatch.setenv("ALEXNET_JAX_MIRROR", "http://127.0.0.1:1")
    Image.new("RGB", (80, 80)).save("red.png")
    done = alexnet(*line.split())
    place = tmp_path / "cache" / "alexnet_jax" / "alexnet-owt-7be5be79.pth"
    assert done.returncode == 1
    assert f"(no connection); put the file at {place}, or set ALEXNET_JAX_MIRROR" in done.stderr


def test_a_truncated_file_in_the_cache_is_refused(tmp_path):
    place = tmp_path / "cache" / "alexnet_jax" / "alexnet-owt-7be5be79.pth"
    place.parent.mkdir(parents=True)
    place.write_bytes(SAMPLES["torchvision"].read_bytes()[:-1])
    done = alexnet("predict", "torchvision", "red.png")
    assert done.returncode == 1
    assert f"alexnet: error: {place}: its SHA256 is not" in done.stderr


def test_a_file_or_directory_comes_before_a_name_without_prefix(mirror, tmp_path):
    (tmp_path / "elsewhere" / "torchvision").mkdir()
    assert find_weights("torchvision").samefile(tmp_path / "elsewhere" / "torchvision")
    assert mirror.requests == []
    assert find_weights("pretrained:torchvision").name == "alexnet-owt-7be5be79.pth"


@pytest.mark.parametrize("net", ["torchvison", "bvlc_alexnt"])
def test_a_misspelt_name_is_refused_with_a_near_one(net):
    (near,) = (
        name for name in names.NAMES if name.startswith(net[:6]) and "features" not in name and "ref" not in name
    )
    with pytest.raises(AlexNetError, match=f"no such file or directory; did you mean the trained weights {near}"):
        alexnet_jax.load_weights(net)
    with pytest.raises(UsageError, match=f"unknown trained weights '{net}': did you mean .*{near}"):
        alexnet_jax.pretrained(net)


def test_the_hub_is_mirrored_too(mirror, tmp_path):
    expected = alexnet_jax.load_weights(SAFETENSORS, "torchvision").params
    for name in ("hf://owner/repo", "hf://owner/repo/model.safetensors", "pretrained:hf://owner/repo"):
        assert_same(alexnet_jax.load_weights(name, "torchvision").params, expected)
    assert mirror.requests == [("/model.safetensors", None)]
    alexnet_jax.load_weights("hf://other/repo/folder/model.safetensors", "torchvision")
    assert len(mirror.requests) == 2
    files = (tmp_path / "cache" / "alexnet_jax" / "hub").rglob("*.safetensors")
    assert sorted(str(file.relative_to(tmp_path / "cache" / "alexnet_jax")) for file in files) == [
        "hub/other--repo/folder/model.safetensors",
        "hub/owner--repo/model.safetensors",
    ]


@pytest.mark.parametrize(
    "name", ["hf://", "hf://owner", "hf://owner/repo/../../x.pth", "hf://../repo", "hf://a/b/c.txt"]
)
def test_a_wrong_name_of_the_hub_is_refused(mirror, name):
    with pytest.raises(UsageError, match=f"^{re.escape(name.rstrip('/'))}.*: (is not the name|names no file)"):
        find_weights(name)
    assert mirror.requests == []


@pytest.fixture
def hub(mirror, monkeypatch, tmp_path):
    """The server in the place of the Hugging Face Hub."""
    package = pytest.importorskip("huggingface_hub")
    here = partial(package.hf_hub_download, endpoint=mirror.url, cache_dir=tmp_path / "hub")
    monkeypatch.setattr(package, "hf_hub_download", here)
    monkeypatch.setattr(package, "list_repo_files", package.HfApi(endpoint=mirror.url).list_repo_files)
    monkeypatch.delenv("ALEXNET_JAX_MIRROR")
    mirror.headers = {"X-Repo-Commit": "0" * 40, "ETag": '"1234"'}
    return mirror


def test_the_hub_is_read_through_its_own_package(hub, tmp_path):
    weights = alexnet_jax.load_weights("hf://owner/repo", "torchvision")
    assert_same(weights.params, alexnet_jax.load_weights(SAFETENSORS, "torchvision").params)
    assert "/owner/repo/resolve/main/model.safetensors" in [path for path, _ in hub.requests]
    assert find_weights("hf://owner/repo", progress=False).is_relative_to(tmp_path / "hub")


def test_a_file_that_the_hub_does_not_have_is_refused(hub):
    hub.headers["X-Error-Code"] = "EntryNotFound"
    with pytest.raises(AlexNetError, match=r"^hf://owner/repo/other\.safetensors: the repository has no such file"):
        find_weights("hf://owner/repo/other.safetensors", progress=False)


def write_listing(folder, *files):
    """Files of a repository, as the Hub lists them, in place of the file model.safetensors."""
    (folder / "model.safetensors").unlink()
    rows = [{"type": "file", "path": path, "oid": "0", "size": 1} for path in ("README.md", *files)]
    (folder / "main").write_text(json.dumps(rows))


def test_the_only_weights_of_a_repository_are_found_in_any_folder(hub):
    write_listing(hub.folder, "IMAGENET1K_V1/tiny.safetensors")
    shutil.copy(SAFETENSORS, hub.folder / "tiny.safetensors")
    hub.headers["X-Error-Code"] = "EntryNotFound"
    weights = alexnet_jax.load_weights("hf://owner/repo", "torchvision")
    assert_same(weights.params, alexnet_jax.load_weights(SAFETENSORS, "torchvision").params)
    assert "/owner/repo/resolve/main/IMAGENET1K_V1/tiny.safetensors" in [path for path, _ in hub.requests]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            ("b/b.safetensors", "a.safetensors"),
            "has 2 .safetensors files; name one of hf://o/r/a.safetensors, hf://o/r/b/",
        ),
        (("model.bin",), "has no .safetensors file; name another as hf://OWNER/REPO/FILE"),
    ],
)
def test_a_repository_without_one_file_of_weights_is_refused(hub, files, message):
    write_listing(hub.folder, *files)
    hub.headers["X-Error-Code"] = "EntryNotFound"
    with pytest.raises(AlexNetError, match=re.escape(f"hf://o/r: {message}")):
        find_weights("hf://o/r", progress=False)


def test_a_repository_that_the_hub_does_not_have_is_refused(hub):
    hub.headers["X-Error-Code"] = "RepoNotFound"
    with pytest.raises(
        AlexNetError, match=r"^hf://owner/other/other\.pth: cannot be downloaded .*; check the name"
    ) as raised:
        find_weights("hf://owner/other/other.pth")
    assert "\n" not in str(raised.value)


def test_an_unreachable_hub_is_reported(hub, monkeypatch):
    import huggingface_hub

    offline = partial(huggingface_hub.hf_hub_download, local_files_only=True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(AlexNetError, match="the Hugging Face Hub cannot be reached; pass a copy of the file, or set"):
        find_weights("hf://owner/repo")
