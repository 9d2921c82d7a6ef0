import os
import resource
import subprocess
import sys

import pytest

from alexnet_jax import runtime


def test_xla_gets_the_flag_once_and_keeps_others(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    runtime.tune_cpu()
    runtime.tune_cpu()
    assert os.environ["XLA_FLAGS"] == f"--xla_cpu_enable_fast_math=false {runtime.XLA_FLAG}"


def test_a_flag_that_is_there_stays(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"{runtime.XLA_FLAG}individual_dot")
    runtime.tune_cpu()
    assert os.environ["XLA_FLAGS"] == f"{runtime.XLA_FLAG}individual_dot"


def test_another_xla_does_not_get_the_flag(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS")
    monkeypatch.setattr(runtime, "version", lambda name: "0.11.0")
    runtime.tune_cpu()
    assert "XLA_FLAGS" not in os.environ


@pytest.mark.parametrize("flags", [None, "--xla_cpu_enable_fast_math=false"])
def test_other_programs_get_the_environment_as_it_was(monkeypatch, flags):
    if flags is None:
        monkeypatch.delenv("XLA_FLAGS")
    else:
        monkeypatch.setenv("XLA_FLAGS", flags)
    before = dict(os.environ)
    runtime.tune_cpu()
    assert runtime.untuned(os.environ) == before


ALLOCATE = """
import resource, sys
from alexnet_jax import runtime
if sys.argv[1] == "tuned":
    runtime.tune_cpu()
for _ in range(10):
    b"x" * (64 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


@pytest.mark.skipif(os.confstr("CS_GNU_LIBC_VERSION") is None, reason="needs glibc")
def test_freed_memory_is_kept():
    def page_faults(how):
        done = subprocess.run([sys.executable, "-c", ALLOCATE, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    size = 10 * (64 << 20)
    assert page_faults("plain") - page_faults("tuned") > 0.5 * size / resource.getpagesize()
