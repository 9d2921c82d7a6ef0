"""Every command of the README runs: here, or in CI where it takes minutes."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.variants import variant
from alexnet_jax.weights.channels_first import layer_shapes
from alexnet_jax.weights.torchvision import torchvision_names
from tests.helpers.command import alexnet
from tests.helpers.imagenet import write_imagenet
from tests.helpers.torch_files import Stored, tensor, zipped

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
CI = (ROOT / ".ci" / "run").read_text()

# by hand on a machine that has the accelerator; here their resolution is what .ci/pin does
NOT_RUN = {"uv sync --extra cuda13", "uv sync --extra tpu"}
# days of work on ImageNet itself; test_presets.py runs the same in miniature
NOT_RUN |= {
    "uv run alexnet train --preset imagenet_paper --data.data_dir data",
    "uv run alexnet evaluate runs/imagenet_paper --views ten-crop",
}


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("console") for line in block.splitlines() if line not in NOT_RUN]


def runs_in_ci(line):
    """Whether CI has the command, with nothing but a work folder of its own added."""
    words = line.removeprefix("pip install uv && ")
    said = re.sub(r' --workdir "[^"]*"', "", CI)
    return re.search(rf"(^|&& ){re.escape(words)}$", said, re.MULTILINE) is not None


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the README's commands take for granted: a finished run, photos, a picture, others' files."""
    place = tmp_path_factory.mktemp("readme")
    rng = np.random.default_rng(0)
    for kind in ("cat", "dog"):
        (place / "photos" / kind).mkdir(parents=True)
        for index in range(40):
            pixels = rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / "photos" / kind / f"{index}.jpg")
    (place / "photos" / "cat" / "0.jpg").rename(place / "cat.jpg")
    write_torchvision_weights(place / "alexnet-owt-7be5be79.pth")
    write_imagenet(place / "tars")
    assert alexnet("train", "--epochs", 1, cwd=place).returncode == 0
    return place


def write_torchvision_weights(path):
    """A state dict of torchvision's alexnet at full size, all zeros, as torch.save writes it."""
    model = variant("torchvision")
    elements = sum(np.prod(shape) + shape[0] for shape in layer_shapes(model).values())
    storage, offset, state = Stored("Float", "0", int(elements)), 0, {}
    for name, shape in zip(torchvision_names(model).values(), layer_shapes(model).values(), strict=True):
        for part, size in (("weight", shape), ("bias", shape[:1])):
            strides = tuple(int(np.prod(size[axis + 1 :])) for axis in range(len(size)))
            state[f"{name}.{part}"] = tensor(storage, offset, size, strides)
            offset += int(np.prod(size))
    zipped(path, state, {"0": bytes(4 * offset)})


@pytest.mark.parametrize("line", [line for line in COMMANDS if not runs_in_ci(line)])
def test_commands(place, line):
    tool, *arguments = shlex.split(line.removeprefix("uv run "))
    assert tool == "alexnet", f"{line} is run neither here nor in CI"
    done = alexnet(*arguments, cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_ci_runs_the_rest():
    assert [line for line in COMMANDS if runs_in_ci(line)] == [
        "pip install uv && uv run alexnet train",
        "pip install uv && uv run pytest",
        "uv run alexnet train",
        "uv run alexnet train --epochs 28",
    ]


@pytest.mark.parametrize(
    ("code", "want"), list(zip(blocks("python"), ["(1, 3, 3, 64)\n", "(1, 6, 10, 10)\n"], strict=True))
)
def test_python(tmp_path, code, want):
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    assert done.stdout == want


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)]+)\)", README))
def test_links_lead_somewhere(target):
    assert (ROOT / target).exists()
