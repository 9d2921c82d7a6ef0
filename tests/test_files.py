"""Writes that survive a crash of the machine."""

import pytest

from alexnet_jax.errors import AlexNetError
from alexnet_jax.files import replace_file


def test_a_file_is_replaced_and_no_draft_is_left(tmp_path):
    replace_file(tmp_path / "a.txt", "old\n")
    replace_file(tmp_path / "a.txt", b"new\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"new\n"


def test_a_directory_in_the_place_of_the_file_is_an_error_with_a_remedy(tmp_path):
    (tmp_path / "versions.json").mkdir()
    with pytest.raises(AlexNetError, match=r"versions\.json: is a directory, .*; remove it"):
        replace_file(tmp_path / "versions.json", "[]")
    assert [path.name for path in tmp_path.iterdir()] == ["versions.json"]


def test_an_error_leaves_the_old_file(tmp_path, monkeypatch):
    replace_file(tmp_path / "a.txt", "old\n")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        replace_file(tmp_path / "a.txt", "new\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old\n"
