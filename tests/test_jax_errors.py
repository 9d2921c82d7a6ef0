"""Errors of JAX in one line."""

import os
import subprocess
import sys

import pytest

from alexnet_jax.errors import UsageError
from alexnet_jax.jax_errors import explain


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 137438953472 bytes.")]
)
def test_out_of_memory_says_what_needs_less(error):
    assert str(explain(error)).startswith("out of memory: train with a smaller --batch_size or more --micro_batches")


def test_other_errors_are_kept(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    for error in (RuntimeError("another"), AssertionError("own")):
        assert explain(error) is error


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_a_missing_platform_is_one_line(platform, tmp_path):
    """Some of these errors have no message at all."""
    environment = os.environ | {"JAX_PLATFORMS": platform}
    done = subprocess.run(
        [sys.executable, "-m", "alexnet_jax", "train"], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == UsageError.exit_status
    assert done.stderr.startswith(f"alexnet: error: JAX_PLATFORMS is {platform!r}: JAX finds no such device")
    assert done.stderr.endswith("; install its plugin, or unset JAX_PLATFORMS\n")
