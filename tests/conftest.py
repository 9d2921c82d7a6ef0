"""Two virtual devices and strict promotion for all tests, and fast compilation for those not marked ``optimized``."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Generator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np
import pytest
from PIL import Image

from alexnet_jax import runtime

if TYPE_CHECKING:
    from tests.helpers.object_store import ObjectStore

# without bytecode, each process that a test starts compiles the sources of JAX and others for four seconds
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers share the cache of the process that starts them
    _cache = tempfile.mkdtemp(prefix="alexnet-tests-")
    atexit.register(shutil.rmtree, _cache, ignore_errors=True)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _cache
    os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"] = str(2**30)  # JAX locks a directory only if its size is limited
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_compilation_cache_max_size", int(os.environ["JAX_COMPILATION_CACHE_MAX_SIZE"]))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

# nohup ignores SIGHUP, and a shell SIGINT in the background: the processes that tests signal would inherit that
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

runtime.tune_cpu()
runtime.use_virtual_devices()
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config: pytest.Config) -> None:
    """Makes XLA compile without optimisation, because small nets take longer to compile than to run.

    Commands that tests start in other processes get the same settings. Slow tests marked ``optimized`` run the programs
    that users run.
    """
    _optimize(False)
    if not _has_optimized_tests(config) and version("jaxlib").startswith("0.10."):  # later releases abort at this flag
        os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Compiles the programs of a test, and of its fixtures, as it is marked."""
    if not (_has_optimized_tests(item.config) and item.get_closest_marker("optimized")):
        return (yield)
    _optimize(True)
    try:
        return (yield)
    finally:
        _optimize(False)


def _has_optimized_tests(config: pytest.Config) -> bool:
    return config.option.markexpr not in ("not slow", "not optimized", "slow and not optimized")


def _optimize(is_on: bool) -> None:
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(not is_on).lower()
    jax.config.update("jax_disable_most_optimizations", not is_on)


@pytest.fixture
def batch() -> dict[str, jax.Array]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 72, 72, 3), dtype=np.uint8)
    return {"image": jax.numpy.asarray(images), "label": jax.numpy.arange(8, dtype=np.int32)}


@pytest.fixture
def photos(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of class folders with random pictures."""

    def make(
        name: str = "photos",
        per_class: int = 8,
        classes: tuple[str, ...] = ("cat", "dog"),
        splits: tuple[str, ...] = (),
    ) -> Path:
        rng = np.random.default_rng(1)
        root = tmp_path / name
        for part in splits or ("",):
            for label, kind in enumerate(classes):
                folder = root / part / kind
                folder.mkdir(parents=True)
                for index in range(per_class):
                    pixels = rng.integers(0, 128, (40, 36, 3), dtype=np.uint8) + np.uint8(100 * label)
                    Image.fromarray(pixels).save(folder / f"{index}.png")
        return root

    return make


@pytest.fixture(scope="session")
def _object_server() -> Iterator[ObjectStore]:
    from tests.helpers.object_store import serving

    with serving() as store:
        yield store


@pytest.fixture
def object_store(_object_server: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """An empty bucket of a server on this machine, and an empty cache of the user."""
    from tests.helpers.object_store import use

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with use(_object_server):
        yield _object_server
