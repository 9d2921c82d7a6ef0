"""A step that does not fit into memory is refused before it runs."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.training.layouts import OneDevice, memory
from alexnet_jax.training.layouts.memory import check_memory
from alexnet_jax.training.steps.state import create_train_state
from tests.helpers.nets import tiny_config

GIB = 2**30


def step_of(temporary, kept=GIB):
    """A compiled step that keeps ``kept`` bytes, overwrites as many, and needs ``temporary`` bytes while it runs."""
    sizes = {"argument_size_in_bytes": kept, "output_size_in_bytes": kept, "alias_size_in_bytes": kept}
    analysis = SimpleNamespace(**sizes, temp_size_in_bytes=temporary)
    return SimpleNamespace(memory_analysis=lambda: analysis)


def device(platform, limit=None):
    return SimpleNamespace(platform=platform, process_index=0, memory_stats=lambda: limit and {"bytes_limit": limit})


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        (
            [device("gpu", 5 * GIB)],
            "a step needs 9.0 GiB of memory, and there are 5.0 GiB; use --batch_size 16 or less",
        ),
        ([device("gpu", 5 * GIB)] * 2, "a step needs 9.0 GiB of memory"),
        ([device("cpu")], "and there are 3.0 GiB; use --batch_size 8 or less, or --micro_batches 4$"),
        ([device("cpu")] * 2, "a step needs 18.0 GiB of memory, and there are 3.0 GiB; use --batch_size 2 or less"),
        ([device("gpu", GIB)], "use a smaller net or another machine$"),
    ],
)
def test_a_step_that_needs_too_much_is_refused_with_a_batch_size_that_fits(monkeypatch, devices, message):
    monkeypatch.setattr(memory, "usable_memory", lambda: 3 * GIB)
    config = dataclasses.replace(tiny_config(), batch_size=32)
    with pytest.raises(UsageError, match=f"^batch_size is 32: .*{message}"):
        check_memory(step_of(8 * GIB), config, devices)


def test_a_step_that_fits_or_is_of_unknown_size_passes():
    check_memory(step_of(2 * GIB), tiny_config(), [device("gpu", 4 * GIB)])
    check_memory(SimpleNamespace(memory_analysis=lambda: None), tiny_config(), [device("gpu", 1)])


def test_micro_batches_divide_the_batch(monkeypatch):
    monkeypatch.setattr(memory, "usable_memory", lambda: 3 * GIB)
    config = dataclasses.replace(tiny_config(), batch_size=30, micro_batches=2)  # 2 GiB hold 3 of its 15 images
    with pytest.raises(UsageError, match=r"use --batch_size 6 or less, or --micro_batches 10$"):
        check_memory(step_of(8 * GIB), config, [device("cpu")])


def test_the_compilation_of_a_run_checks_its_memory(monkeypatch):
    monkeypatch.setattr(memory, "usable_memory", lambda: 2**20)
    model = tiny_config().model
    config = tiny_config(model=dataclasses.replace(model, convs=model.convs[:1], dense=()))
    layout = OneDevice(config, jax.devices()[:1])
    state = layout.place(create_train_state(config, jax.random.key(0)))
    batch = {"image": np.zeros((8, 72, 72, 3), np.uint8), "label": np.zeros(8, np.int32)}
    with pytest.raises(UsageError, match=r"^batch_size is 8: a step needs .* of memory"):
        layout.compile_train_steps(state, batch, jax.random.key(1), [1])
