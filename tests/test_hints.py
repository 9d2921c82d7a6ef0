"""Commands in messages."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from alexnet_jax.hints import command, command_with_packages


@pytest.fixture
def path(monkeypatch, tmp_path) -> Path:
    """The only directory on PATH, without uv around."""
    monkeypatch.delenv("UV", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_command_is_as_short_as_the_shell_allows(path):
    assert command("train") == f"{sys.executable} -m alexnet_jax train"
    shutil.copy(sys.executable, path / "alexnet")
    assert command("train") == "alexnet train"


def test_command_starts_with_uv_run_under_uv(path, monkeypatch):
    monkeypatch.setitem(os.environ, "UV", "/usr/bin/uv")
    assert command("train") == "uv run alexnet train"


def test_command_quotes_paths(path, monkeypatch):
    monkeypatch.setitem(os.environ, "UV", "/usr/bin/uv")
    assert command("evaluate", Path("my runs/first")) == "uv run alexnet evaluate 'my runs/first'"


def test_command_with_packages_installs_them_for_the_interpreter(path, monkeypatch):
    run = f"{sys.executable} -m alexnet_jax bench"
    assert command_with_packages(["torch"], "bench") == f"{sys.executable} -m pip install torch && {run}"
    assert command_with_packages(["torch"], "bench", python="/py") == f"/py -m pip install torch && {run}"
    monkeypatch.setitem(os.environ, "UV", "/usr/bin/uv")
    found = command_with_packages(["torch", "torchvision"], "bench")
    assert found == "uv run --with torch --with torchvision alexnet bench"
