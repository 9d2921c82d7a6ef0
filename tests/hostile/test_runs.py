"""Damaged run directories: every command that reads one ends with status 0, or with one line."""

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
    "text": lambda path: path.write_text("Not Found\n"),
    "binary": lambda path: path.write_bytes(b"\xff\xfe\x00" * 100),
    "list": lambda path: path.write_text("[]"),
    "object": lambda path: path.write_text("{}"),
    "directory": lambda path: path.mkdir(),
    "loop": lambda path: path.symlink_to(path.name),
}
READERS = (
    "evaluate run",
    "predict run photos/test/cat/0.png",
    "convert run new.safetensors",
    "export run new.stablehlo",
    "train --workdir run",
)


@pytest.fixture
def copy(place, tmp_path):
    shutil.copytree(place / "run", tmp_path / "run")
    shutil.copytree(place / "photos", tmp_path / "photos")
    return tmp_path


def check(done):
    lines = done.stderr.splitlines()
    assert "Traceback" not in done.stderr
    assert "--debug" not in done.stderr
    if done.returncode:
        assert done.returncode in (1, 2), done
        assert lines[-1].startswith("alexnet: error: "), done
        assert sum(line.startswith("alexnet: error: ") for line in lines) == 1, done


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("line", READERS)
@pytest.mark.parametrize("damage", DAMAGES)
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
