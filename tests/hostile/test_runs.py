"""Damaged run directories: a command that reads one ends with status 0, or with one line."""

from __future__ import annotations

import shlex
import shutil

import pytest

from tests.helpers.command import alexnet
from tests.hostile.place import contents

FILES = (
    "config.json",
    "classes.txt",
    "checkpoints",
    "checkpoints/7",
    "checkpoints/7/_CHECKPOINT_METADATA",
    "checkpoints/7/orbax.checkpoint",
    "checkpoints/7/digests",
    "checkpoints/7/digests/data.json",
    "checkpoints/7/state",
    "checkpoints/7/state/_METADATA",
    "checkpoints/7/state/manifest.ocdbt",
    "checkpoints/7/state/d",
)
DAMAGES = {
    "removed": lambda path: None,
    "empty": lambda path: path.touch(),
    "binary": lambda path: path.write_bytes(b"\xff\xfe\x00" * 100),
    "object": lambda path: path.write_text("{}"),
    "directory": lambda path: path.mkdir(),
    "loop": lambda path: path.symlink_to(path.name),
}


@pytest.fixture
def copy(place, tmp_path):
    shutil.copytree(place / "run", tmp_path / "run")
    shutil.copytree(place / "photos", tmp_path / "photos")
    return tmp_path


def check(done):
    lines = done.stderr.splitlines()
    assert not any(word in done.stderr for word in ("Traceback", "--debug", "Warning", "Exception")), done
    if done.returncode:
        assert done.returncode in (1, 2), done
        assert lines[-1].startswith("alexnet: error: "), done
        assert sum(line.startswith("alexnet: error: ") for line in lines) == 1, done


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("line", "damage"),
    [
        *(("evaluate run", damage) for damage in DAMAGES),
        ("train --workdir run", "binary"),
        ("convert run new.safetensors", "empty"),
    ],
)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_run(copy, name, damage, line):
    path = copy / "run" / name
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    DAMAGES[damage](path)
    before = contents(copy)
    done = alexnet(*shlex.split(line), cwd=copy)
    check(done)
    if done.returncode and not line.startswith("train"):
        assert contents(copy) == before
