from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from alexnet_jax.signals import StopRequest, exit_on_interrupt


def test_a_stop_request_remembers_the_first_signal_and_raises_at_the_second():
    with StopRequest() as stop:
        assert stop.signal is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_restored():
    before = signal.getsignal(signal.SIGINT)
    with exit_on_interrupt():
        early = signal.getsignal(signal.SIGINT)
        with StopRequest():
            assert signal.getsignal(signal.SIGINT) not in (before, early)
        assert signal.getsignal(signal.SIGINT) is early
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_in_a_callback_ends_the_process():
    """Python discards an exception that is raised in ``__del__``, so KeyboardInterrupt would be lost there."""
    code = """
import os, signal
from alexnet_jax.signals import exit_on_interrupt
class Callback:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000): pass
with exit_on_interrupt():
    Callback()
    print("went on")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "alexnet: interrupted\n")


@pytest.fixture
def sigint_by_default():
    """Children start without an inherited "ignore", which a shell sets for what it runs in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.slow
@pytest.mark.usefixtures("sigint_by_default")
@pytest.mark.parametrize("delay", [0.05, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0])
def test_ctrl_c_while_a_run_starts_is_never_lost(tmp_path, delay):
    command = [sys.executable, "-m", "alexnet_jax", "train", "--workdir", tmp_path / "run"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(delay)
    running.send_signal(signal.SIGINT)
    try:
        out, errors = running.communicate(timeout=120)
    finally:
        running.kill()
    if running.returncode == -signal.SIGINT:  # Python itself had not started
        assert delay < 0.5
        return
    assert running.returncode == 130
    lines = [line for line in (out + errors).splitlines() if "interrupted" in line or "stopped" in line]
    assert len(lines) == 1
    if "stopped and saved" not in lines[0]:
        assert not list(tmp_path.glob("run/checkpoints/[0-9]*"))
