"""The commands, programs and links of the README and the other pages.

CI runs the commands that take minutes.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from alexnet_jax import config, variants
from alexnet_jax.weights.catalogue import CATALOGUE
from alexnet_jax.weights.channels_first import layer_shapes
from alexnet_jax.weights.torchvision import torchvision_names
from tests.helpers.command import alexnet
from tests.helpers.imagenet import write_imagenet
from tests.helpers.object_store import serving, use
from tests.helpers.torch_files import Stored, tensor, zipped

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "alexnet_jax").rglob("README.md"))]
CI = (ROOT / ".ci" / "run").read_text()

NEEDS_ACCELERATOR = {"uv sync --extra cuda12", "uv sync --extra cuda13", "uv sync --extra tpu"}
NEEDS_IMAGENET = {  # days of work; test_presets.py runs the same in miniature
    "uv run alexnet train --preset imagenet_paper --data.data_dir data",
    "uv run alexnet train --preset imagenet_paper --data.data_dir data --dtype bfloat16",
    "uv run alexnet evaluate runs/imagenet_paper --views ten-crop",
}

TAKES_MINUTES = {
    "uv run alexnet train --preset finetune",  # another line trains this preset on photos/
    "uv run alexnet sweep --optimizer.learning_rate 0.005,0.01 --seeds 2",  # test_sweep.py trains smaller nets
}


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def runs_in_ci(command):
    """Whether CI has the command, with at most a run directory added."""
    without_directory = re.sub(r' --workdir "[^"]*"', "", CI)
    words = re.escape(command.removeprefix("pip install uv && "))
    return re.search(rf"(^|&& ){words}$", without_directory, re.MULTILINE) is not None


COMMANDS = dict.fromkeys(line for page in PAGES for block in blocks(page, "console") for line in block.splitlines())
HERE = [
    line for line in COMMANDS if not runs_in_ci(line) and line not in NEEDS_ACCELERATOR | NEEDS_IMAGENET | TAKES_MINUTES
]


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield monkeypatch


@pytest.fixture(scope="module")
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def place(tmp_path_factory, monkeypatch_module, stack):
    """A directory with what the commands expect: a finished run, photos, one picture, other programs' files.

    Also photos in the bucket ``s3://bucket`` of a server on this machine.
    """
    place = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (place / "photos" / kind).mkdir(parents=True)
        for index in range(24):
            pixels = rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / "photos" / kind / f"{index}.jpg")
    (place / "photos" / "cat" / "0.jpg").rename(place / "cat.jpg")
    write_torchvision_weights(place / "alexnet-owt-7be5be79.pth")
    put_into_cache(place / "alexnet-owt-7be5be79.pth", place / "cache", monkeypatch_module)
    write_imagenet(place / "tars")
    with h5py.File(place / "stimuli.hdf5", "w") as file:
        file["imgBrick"] = rng.integers(0, 256, (40, 50, 50, 3), dtype=np.uint8)
    for name in ("trained.h5", "control.h5"):
        with h5py.File(place / name, "w") as file:
            file["pool5"] = rng.normal(size=(40, 6)).astype(np.float32)
    store = stack.enter_context(serving())
    stack.enter_context(use(store, "bucket"))
    store.put(place / "photos", "s3://bucket/photos")
    words = ("features", "torchvision_features", "photos", "--layers", "pool5", "--out", "pool5.h5")
    assert alexnet(*words, cwd=place).returncode == 0
    assert alexnet("train", "--epochs", 1, cwd=place).returncode == 0
    return place


def put_into_cache(file, cache, monkeypatch):
    """Makes ``file`` the trained weights ``torchvision``."""
    (cache / "alexnet_jax").mkdir(parents=True)
    (cache / "alexnet_jax" / file.name).hardlink_to(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.setitem(CATALOGUE, "torchvision", replace(CATALOGUE["torchvision"], digest=digest))


def write_torchvision_weights(path):
    """A state dict of torchvision's alexnet at full size, all zeros, as torch.save writes it."""
    model = variants.variant("torchvision")
    elements = sum(np.prod(shape) + shape[0] for shape in layer_shapes(model).values())
    storage, offset, state = Stored("Float", "0", int(elements)), 0, {}
    for name, shape in zip(torchvision_names(model).values(), layer_shapes(model).values(), strict=True):
        for part, size in (("weight", shape), ("bias", shape[:1])):
            strides = tuple(int(np.prod(size[axis + 1 :])) for axis in range(len(size)))
            state[f"{name}.{part}"] = tensor(storage, offset, size, strides)
            offset += int(np.prod(size))
    zipped(path, state, {"0": bytes(4 * offset)})


@pytest.mark.slow
@pytest.mark.parametrize("line", HERE)
def test_command(place, line):
    """Runs of training end after an epoch."""
    tool, *arguments = shlex.split(line.removeprefix("uv run "))
    assert tool == "alexnet", f"{line} runs neither here nor in CI"
    if arguments[0] == "train" and "--epochs" not in arguments:
        arguments += ["--epochs", "1"]
    done = alexnet(*arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("line", ["pip install uv && uv run alexnet train", "pip install uv && uv run pytest"])
def test_ci_runs_the_two_commands_of_the_first_screen(line):
    assert line in COMMANDS
    assert runs_in_ci(line)


def test_the_readme_shows_the_net_of_the_paper():
    code = next(block for block in blocks(PAGES[0], "python") if block.startswith("def paper"))
    names = dict(vars(config))
    exec(code, names)
    assert names["paper"]() == variants.paper()


PROGRAMS = [block for page in PAGES for block in blocks(page, "python") if not block.startswith("def ")]


@pytest.mark.slow
@pytest.mark.parametrize("code", PROGRAMS)
def test_program_prints_what_its_comments_say(place, code):
    expected = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert expected
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected


LINKING = [*PAGES, *(page for part in ("alexnet_jax", "experiments") for page in (ROOT / part).rglob("*.md"))]
LINKS = [
    (page, link)
    for page in dict.fromkeys(LINKING)
    for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text())
]


@pytest.mark.parametrize(("page", "link"), LINKS, ids=[f"{page.parent.name}:{link}" for page, link in LINKS])
def test_link_exists(page, link):
    assert (page.parent / link).exists()
