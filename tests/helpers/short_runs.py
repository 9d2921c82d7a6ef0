"""Runs of 15 steps on 20 pictures, which share their compiled steps."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from alexnet_jax.training import evaluation, loop
from alexnet_jax.training.layouts import Layout, choose_layout

# 15 steps, 3 in an epoch, evaluated after 6, 12 and 15, and a checkpoint also after 4 and 8
OPTIONS = ["--preset", "quickstart", "--devices", 1, "--batch_size", 4, "--epochs", 5, "--evaluate_every", 2]
OPTIONS += ["--steps_per_dispatch", 1, "--log_every", 1, "--checkpoint_every", 4, "--data.validation_fraction", 0.2]
OPTIONS += ["--model.image_size", 12, "--data.image_size", 12]
for _index in range(5):
    OPTIONS += [f"--model.convs.{_index}.features", 4]


def write_pictures(folder: Path) -> Path:
    """A folder of ten random pictures of each of two classes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for index in range(10):
            Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(folder / name / f"{index}.png")
    return folder


@contextlib.contextmanager
def fast_runs(draw_curves: Callable[..., Any] = lambda *_: None) -> Iterator[None]:
    """A context in which runs with equal configs share their compiled steps, and an evaluation has batches of two."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "choose_layout", functools.cache(choose_layout))
        patch.setattr(Layout, "compile_train_steps", _once(Layout.compile_train_steps))
        patch.setattr(loop, "draw_curves", draw_curves)
        patch.setattr(loop, "draw_filters", lambda *_: None)
        patch.setattr(evaluation, "BATCH_SIZE", 2)
        yield


def _once(compile_train_steps: Callable[..., None]) -> Callable[..., None]:
    """``Layout.compile_train_steps``, which compiles each number of steps once for each layout."""
    compiled: set[tuple[Layout, int]] = set()

    def compile_new(layout: Layout, state: Any, batch: Any, key: Any, counts: Iterable[int]) -> None:
        new = [count for count in counts if (layout, count) not in compiled]
        compile_train_steps(layout, state, batch, key, new)
        compiled.update((layout, count) for count in new)

    return compile_new
