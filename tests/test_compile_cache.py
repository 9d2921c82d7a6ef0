"""What the command keeps of its compilations, and that it does no harm."""

import os
import warnings

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.compilation_cache import compilation_cache

from alexnet_jax import runtime
from alexnet_jax.runtime import use_compile_cache
from tests.helpers.command import alexnet

NAME = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture
def users_cache(tmp_path, monkeypatch):
    """A user's cache folder, and no word of his about JAX's."""
    monkeypatch.setenv(NAME, "")  # so that it is restored
    monkeypatch.delenv(NAME)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "alexnet_jax"


def test_commands_keep_it_in_the_users_cache_folder(users_cache):
    assert alexnet("summary", "small").returncode == 0
    assert os.environ[NAME] == str(users_cache)
    assert users_cache.is_dir()


def test_another_folder_or_none_can_be_named(users_cache, monkeypatch):
    for named in ("elsewhere", ""):
        monkeypatch.setenv(NAME, named)
        use_compile_cache()
        assert os.environ[NAME] == named
    assert not users_cache.exists()


def test_where_the_folder_cannot_be_made_there_is_none(users_cache):
    users_cache.write_text("a file in its place")
    use_compile_cache()
    assert NAME not in os.environ


def test_the_entries_written_first_go_where_there_are_too_many(users_cache, monkeypatch):
    users_cache.mkdir()
    for age, name in enumerate(["newest", "middle", "oldest"]):
        (users_cache / f"{name}-cache").write_bytes(bytes(100))
        os.utime(users_cache / f"{name}-cache", (1000 - age, 1000 - age))
    monkeypatch.setattr(runtime, "MAX_CACHE_BYTES", 250)
    use_compile_cache()
    assert sorted(entry.name for entry in users_cache.iterdir()) == ["middle-cache", "newest-cache"]


@pytest.mark.parametrize("damage", [b"", b"\x78\x9cno executable"])
def test_a_damaged_entry_is_replaced_without_a_word(tmp_path, monkeypatch, damage):
    monkeypatch.setenv(NAME, str(tmp_path))
    before = jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_compilation_cache_dir", str(tmp_path))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    compilation_cache.reset_cache()
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            use_compile_cache()
            compile_triple()
            (entry,) = tmp_path.glob("jit_triple-*-cache")
            whole = entry.stat().st_size
            entry.write_bytes(damage)
            assert compile_triple()(jnp.float32(2)) == 6
            assert entry.stat().st_size > whole / 2
            warnings.warn("another", stacklevel=1)
        assert [str(warning.message) for warning in seen] == ["another"]
    finally:
        jax.config.update("jax_compilation_cache_dir", before[0])
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before[1])
        compilation_cache.reset_cache()


def compile_triple():
    """A new function each time, for which JAX must look into its folder."""

    @jax.jit
    def triple(x):
        return 3 * x

    return triple.lower(jnp.float32(0)).compile()
