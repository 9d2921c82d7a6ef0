"""XLA's flags, freed memory and the compilation cache."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from alexnet_jax import runtime
from tests.helpers.command import alexnet

CACHE_DIRECTORY = "JAX_COMPILATION_CACHE_DIR"


@pytest.fixture
def xla_flags(monkeypatch):
    """Sets ``XLA_FLAGS`` in the environment, or deletes it."""

    def set_flags(flags):
        monkeypatch.setenv("XLA_FLAGS", flags or "")
        if flags is None:
            monkeypatch.delenv("XLA_FLAGS")

    return set_flags


@pytest.mark.parametrize(
    ("jaxlib", "flag"),
    [
        ("0.10.2", "--xla_cpu_experimental_ynn_fusion_type="),
        ("0.11.0", ""),
        ("0.12.0.1", "--xla_cpu_experimental_ynn_fusion_type=individual_dot"),
        ("0.13.0.dev20261101", ""),
        ("1.0", ""),
    ],
)
def test_xla_flag_depends_on_the_jaxlib_release(monkeypatch, jaxlib, flag):
    monkeypatch.setattr(runtime, "version", lambda package: jaxlib)
    assert runtime.xla_flag() == flag


def test_tune_cpu_adds_the_flag_once_and_keeps_other_flags(xla_flags):
    xla_flags("--xla_cpu_enable_fast_math=false")
    runtime.tune_cpu()
    runtime.tune_cpu()
    assert os.environ["XLA_FLAGS"] == f"--xla_cpu_enable_fast_math=false {runtime.xla_flag()}"


def test_tune_cpu_keeps_the_users_value_of_the_flag(xla_flags):
    xla_flags("--xla_cpu_experimental_ynn_fusion_type=reduce")
    runtime.tune_cpu()
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_experimental_ynn_fusion_type=reduce"


@pytest.mark.parametrize(
    "flags", [None, "--xla_cpu_enable_fast_math=false", "--xla_cpu_experimental_ynn_fusion_type=reduce"]
)
def test_untuned_restores_the_environment(xla_flags, flags):
    xla_flags(flags)
    before = dict(os.environ)
    runtime.tune_cpu()
    assert runtime.untuned(os.environ) == before


ALLOCATE = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from alexnet_jax import runtime
if sys.argv[1] == "tuned":
    runtime.keep_freed_memory()
def allocate():
    for _ in range(10):
        first, second = b"x" * (50 << 20), b"y" * (50 << 20)  # two heaps of a thread
allocate() if sys.argv[2] == "main thread" else ThreadPoolExecutor(1).submit(allocate).result()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(sys.platform != "linux" or os.confstr("CS_GNU_LIBC_VERSION") is None, reason="needs glibc")
@pytest.mark.parametrize("thread", ["main thread", "another thread"])
def test_freed_memory_is_kept_in_every_thread(thread):
    def page_faults(mode):
        command = [sys.executable, "-c", ALLOCATE, mode, thread]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    allocated = 20 * (50 << 20)
    assert page_faults("plain") - page_faults("tuned") > 0.7 * allocated / os.sysconf("SC_PAGE_SIZE")


COMPUTE = """
import sys, time
from alexnet_jax import runtime
if sys.argv[1] == "tuned":
    runtime.tune_cpu()
import jax, jax.numpy as jnp
matrix = jnp.ones((2000, 2000))
product = jax.jit(lambda matrix: matrix @ matrix @ matrix @ matrix)
product(matrix).block_until_ready()
start = time.perf_counter()
result = product(matrix)
called = time.perf_counter() - start
result.block_until_ready()
print(called / (time.perf_counter() - start))
"""


def test_a_tuned_cpu_computes_in_the_calling_thread():
    def fraction_in_call(mode):
        command = [sys.executable, "-c", COMPUTE, mode]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert fraction_in_call("tuned") > 0.8 > 0.2 > fraction_in_call("plain")


@pytest.mark.parametrize(("devices", "threads"), [(1, None), (2, "8"), (8, "16")])
def test_several_virtual_devices_get_more_threads_than_devices_and_one_gets_the_default(monkeypatch, devices, threads):
    assert len(jax.devices()) == 2  # starts the backend
    monkeypatch.setenv("NPROC", "")  # so that it is restored
    monkeypatch.delenv("NPROC")
    monkeypatch.setattr(runtime, "usable_cores", lambda: 2)
    runtime.use_virtual_devices(devices)
    assert os.environ.get("NPROC") == threads
    assert len(jax.devices()) == 2


@pytest.mark.parametrize("nproc", ["12", "", "many"])
def test_cpu_threads_follows_nproc_as_xla_does(monkeypatch, nproc):
    monkeypatch.setenv("NPROC", nproc)
    assert runtime.cpu_threads() == (12 if nproc == "12" else runtime.usable_cores())


@pytest.fixture
def users_cache(tmp_path, monkeypatch):
    """The cache directory of a user who has set none of JAX's variables."""
    for name in (CACHE_DIRECTORY, "JAX_COMPILATION_CACHE_MAX_SIZE", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "alexnet_jax"


def test_commands_cache_in_the_users_cache_directory(users_cache):
    assert alexnet("summary", "small").returncode == 0
    assert os.environ[CACHE_DIRECTORY] == str(users_cache)
    assert users_cache.is_dir()


@pytest.mark.parametrize("directory", ["elsewhere", ""])
def test_the_user_can_choose_another_cache_directory_or_none(users_cache, monkeypatch, directory):
    monkeypatch.setenv(CACHE_DIRECTORY, directory)
    runtime.use_compile_cache()
    assert os.environ[CACHE_DIRECTORY] == directory
    assert not users_cache.exists()


def test_nothing_is_cached_if_the_directory_cannot_be_made(users_cache):
    users_cache.write_text("a file in its place")
    runtime.use_compile_cache()
    assert CACHE_DIRECTORY not in os.environ


@pytest.fixture
def jax_cache(users_cache):
    """Returns a function that starts JAX's cache in the user's cache directory, as a new process would."""
    names = ("compilation_cache_dir", "compilation_cache_max_size", "persistent_cache_min_compile_time_secs")
    before = {f"jax_{name}": getattr(jax.config, f"jax_{name}") for name in names}

    def start(max_bytes=None):
        os.environ.pop(CACHE_DIRECTORY, None)
        runtime.use_compile_cache()
        jax.config.update("jax_compilation_cache_dir", os.environ[CACHE_DIRECTORY])
        jax.config.update(
            "jax_compilation_cache_max_size", max_bytes or int(os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"])
        )
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        compilation_cache.reset_cache()
        return users_cache

    yield start
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


def compile_multiple(factor):
    """Compiles a new function, which JAX looks up in its cache."""
    return jax.jit(lambda x: factor * x).lower(np.float32(0)).compile()


def test_the_cache_directory_does_not_grow_beyond_its_size(jax_cache):
    directory = jax_cache()
    compile_multiple(2.0)
    (entry,) = directory.glob("*-cache")
    jax_cache(max_bytes=int(1.5 * entry.stat().st_size))
    compile_multiple(3.0)
    (other,) = directory.glob("*-cache")
    assert other.name != entry.name


@pytest.mark.parametrize("is_empty", [False, True])
def test_an_incomplete_entry_is_replaced(jax_cache, is_empty):
    directory = jax_cache()
    compile_multiple(2.0)
    (entry,) = directory.glob("*-cache")
    complete = entry.read_bytes()
    if is_empty:
        entry.write_bytes(b"")
    else:
        entry.write_bytes(complete[: len(complete) // 2])
        entry.with_name(entry.name.removesuffix("-cache") + "-atime").unlink()
    jax_cache()
    assert not entry.exists()
    assert compile_multiple(2.0)(np.float32(3)) == 6
    assert len(entry.read_bytes()) > len(complete) / 2


def test_a_damaged_entry_is_compiled_again_with_a_warning(jax_cache):
    directory = jax_cache()
    compile_multiple(2.0)
    (entry,) = directory.glob("*-cache")
    entry.write_bytes(b"not an executable")
    jax_cache()
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry"):
        compiled = compile_multiple(2.0)
    assert compiled(np.float32(3)) == 6
