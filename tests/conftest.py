"""Two virtual devices and strict promotion for every test."""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest
from PIL import Image

from alexnet_jax import cpu
from alexnet_jax.__main__ import main
from alexnet_jax.config import DataConfig, ModelConfig, ScheduleConfig, TrainConfig
from alexnet_jax.parallel import use_virtual_devices
from alexnet_jax.variants import variant

# what one test has compiled, the other tests and the commands that they run need not compile again
_cache = tempfile.mkdtemp(prefix="alexnet-tests-")
atexit.register(shutil.rmtree, _cache, ignore_errors=True)
os.environ |= {"JAX_COMPILATION_CACHE_DIR": _cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
jax.config.update("jax_compilation_cache_dir", _cache)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)

cpu.tune()
use_virtual_devices()
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


def tiny_model(name: str, classes: int = 10) -> ModelConfig:
    """The variant ``name`` with few channels and 67-pixel images, its layers and links as they are.

    Its first weights are wider, so that with so few of them every layer still counts in the logits.
    """
    model = variant(name)
    features, stddevs = (8, 16, 12, 12, 8), (0.01, 0.1, 0.12, 0.15, 0.15)
    convs = tuple(
        dataclasses.replace(conv, features=count, kernel_stddev=stddev)
        for conv, count, stddev in zip(model.convs, features, stddevs, strict=True)
    )
    dense = tuple(dataclasses.replace(layer, features=16, kernel_stddev=0.3) for layer in model.dense)
    return dataclasses.replace(model, convs=convs, dense=dense, classes=classes, image_size=67, head_kernel_stddev=0.3)


def tiny_config(name: str = "paper", **changes: object) -> TrainConfig:
    """A run of ``tiny_model(name)`` on 72-pixel images, whose rate drops after two steps."""
    config = TrainConfig(
        model=tiny_model(name),
        data=DataConfig(image_size=72, train_examples=32),
        schedule=ScheduleConfig("steps", epochs=(0.5,)),
        batch_size=8,
        epochs=1,
    )
    return dataclasses.replace(config, **changes)


@dataclasses.dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def alexnet(*arguments: object, cwd: Path | None = None) -> Done:
    """Runs the command to its end in this process, which has imported and compiled already."""
    out, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.multiple(sys, argv=["alexnet", *map(str, arguments)], unraisablehook=sys.unraisablehook),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
        contextlib.chdir(cwd or Path.cwd()),
        pytest.raises(SystemExit) as leaving,
    ):
        main()
    return Done(leaving.value.code or 0, out.getvalue(), errors.getvalue())


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
