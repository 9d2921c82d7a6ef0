"""Two virtual devices and strict promotion for every test."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from alexnet_jax import runtime

# what one test has compiled, the other tests and the commands that they run need not compile again
_cache = tempfile.mkdtemp(prefix="alexnet-tests-")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
os.environ |= {"JAX_COMPILATION_CACHE_DIR": _cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
jax.config.update("jax_compilation_cache_dir", _cache)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

runtime.tune_cpu()
runtime.use_virtual_devices()
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


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
