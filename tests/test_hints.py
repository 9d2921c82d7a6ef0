"""Commands in messages."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from alexnet_jax.hints import command


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
