"""The wheel outside the clone, and its dependencies beside other packages."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from packaging.requirements import Requirement
from PIL import Image

CLONE = Path(__file__).parents[1]
PROJECT = tomllib.loads((CLONE / "pyproject.toml").read_text())
NO_ANSWER = ("Failed to fetch", "error sending request", "Could not connect", "dns error", "timed out")


def test_every_dependency_has_a_lower_bound_and_no_upper_bound():
    extras = {"export": PROJECT["project"]["optional-dependencies"]["export"]}
    requirements = [Requirement(text) for text in PROJECT["project"]["dependencies"] + extras["export"]]
    assert len({requirement.name for requirement in requirements}) == len(requirements)
    for requirement in requirements:
        assert [part.operator for part in requirement.specifier] == [">="], f"{requirement}: use one lower bound"


def test_pins_hold_every_dependency_and_both_jax_releases():
    pins = [Requirement(text) for text in PROJECT["tool"]["uv"]["constraint-dependencies"]]
    for python in ("3.11", "3.13"):
        environment = {"python_full_version": f"{python}.0", "sys_platform": "linux"}
        pinned = {
            pin.name: str(pin.specifier) for pin in pins if pin.marker is None or pin.marker.evaluate(environment)
        }
        for text in PROJECT["project"]["dependencies"]:
            requirement = Requirement(text)
            assert requirement.specifier.contains(pinned[requirement.name].removeprefix("=="))
        assert pinned["jax"].startswith("==0.10.2") == (python == "3.11")


def test_git_ignores_no_file_of_the_package():
    """Hatch leaves ignored files out of the wheel, and ruff does not check them."""
    done = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
        cwd=CLONE,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""


@pytest.mark.parametrize("root", ["alexnet_jax", "experiments"])
def test_every_folder_with_modules_is_a_package(root):
    folders = {path.parent for path in (CLONE / root).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_citation_has_the_version_and_the_paper():
    citation = yaml.safe_load((CLONE / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["project"]["version"]
    (paper,) = citation["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Krizhevsky", "Sutskever", "Hinton"]


def uv(*arguments: object, python: Path | None = None) -> str:
    """Runs uv without this project's settings. Returns its messages. Skips the test if a registry is unreachable."""
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    if python is not None:
        environment["VIRTUAL_ENV"] = str(python.parents[1])
    command = ["uv", *map(str, arguments), "--no-config"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0 and any(sign in done.stderr for sign in NO_ANSWER):
        pytest.skip(f"the package registry does not answer: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--out-dir", place, CLONE)
    (built,) = place.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def pins(tmp_path_factory) -> Path:
    """The clone's pins as a file of constraints."""
    file = tmp_path_factory.mktemp("pins") / "pins.txt"
    file.write_text("\n".join(PROJECT["tool"]["uv"]["constraint-dependencies"]))
    return file


def new_environment(directory: Path, python: str = sys.executable) -> Path:
    """Makes a virtual environment. Returns its interpreter."""
    uv("venv", "--python", python, directory)
    return directory / "bin" / "python"


@pytest.mark.slow
def test_wheel_contains_every_file_of_the_package_and_no_other_package(wheel):
    listed = subprocess.run(["git", "ls-files", "alexnet_jax"], cwd=CLONE, capture_output=True, text=True, check=True)
    with zipfile.ZipFile(wheel) as archive:
        for name in listed.stdout.splitlines():
            assert archive.read(name) == (CLONE / name).read_bytes(), name
        shipped = [name for name in archive.namelist() if name.startswith("alexnet_jax/weights/shipped/")]
        assert {name.partition("/")[0].partition("-")[0] for name in archive.namelist()} == {"alexnet_jax"}
    assert {Path(name).name for name in shipped} >= {"torchvision_features.safetensors", "lpips_v0.1.safetensors"}


@pytest.mark.slow
@pytest.mark.parametrize("versions", ["pinned", "lowest"])
def test_wheel_trains_predicts_and_benches_outside_the_clone(tmp_path, wheel, pins, versions):
    python = new_environment(tmp_path / "environment")
    choice = ["--constraint", pins] if versions == "pinned" else ["--resolution", "lowest-direct"]
    uv("pip", "install", *choice, wheel, python=python)
    place = tmp_path / "elsewhere"
    write_photos(place / "photos")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "XLA_FLAGS")}

    def alexnet(*arguments: object) -> str:
        command = [python.with_name("alexnet"), *map(str, arguments)]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    photos = ["--data.dataset", "photos"]
    assert "finished" in alexnet("train", "--workdir", "run", "--epochs", 1, "--schedule.epochs", 0.5, *photos)
    assert re.search("cat|dog", alexnet("predict", "run", "photos/cat/0.png"))
    bench = ["bench", "--variant", "small", "--batch_size", 8, "--repeats", 1, "--against", "flax"]
    assert "plain Flax" in alexnet(*bench)


def write_photos(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for index in range(20):
            pixels = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


@pytest.mark.slow
def test_installing_the_wheel_beside_the_newest_jax_changes_no_version(tmp_path, wheel, pins):
    found = subprocess.run(["uv", "python", "find", ">=3.12", "--no-python-downloads"], capture_output=True, text=True)
    if found.returncode != 0:
        pytest.skip("needs Python 3.12 or later, which the newest JAX requires")
    python = new_environment(tmp_path / "environment", found.stdout.strip())
    uv("pip", "install", "--constraint", pins, "jax", "flax", python=python)
    messages = uv("pip", "install", "--dry-run", wheel, python=python)
    assert re.search(r"^ \+ alexnet-jax\b", messages, re.M)
    assert re.findall(r"^ [-~] .*", messages, re.M) == []
