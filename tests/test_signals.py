from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import types

import pytest

from alexnet_jax import signals
from alexnet_jax.signals import StopRequest, exit_on_interrupt
from tests.helpers.processes import ALEXNET, LongRun


@pytest.fixture
def clock(monkeypatch):
    """The time that a stop request reads, in ``clock.now``."""
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(signals.time, "monotonic", lambda: clock.now)
    return clock


@pytest.fixture(autouse=True)
def handlers():
    """Restores the handlers, because a stop request that got a signal keeps them."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, previous, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_request_remembers_the_first_signal_and_ignores_its_copies(clock, number):
    with StopRequest() as stop:
        assert stop.signal is None
        os.kill(os.getpid(), number)
        clock.now += 1.9
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.signal == number
    os.kill(os.getpid(), number)  # while the command reports the stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_two_seconds_after_the_first_interrupts(clock, number):
    with StopRequest():
        os.kill(os.getpid(), signal.SIGTERM)
        clock.now += 2.0
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_an_ignored_hangup_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGHUP)
        assert stop.signal is None


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
    is_early = running.returncode == 1 and "KeyboardInterrupt" in errors and "alexnet_jax/" not in errors
    if running.returncode == -signal.SIGINT or is_early:  # Python itself had not started
        assert delay < 0.5
        return
    assert running.returncode == 130
    lines = [line for line in (out + errors).splitlines() if "interrupted" in line or "stopped" in line]
    assert len(lines) == 1
    if "stopped and saved" not in lines[0]:
        assert not list(tmp_path.glob("run/checkpoints/[0-9]*"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_twice_in_a_short_time_saves(tmp_path, number):
    with LongRun(tmp_path / "run", *ALEXNET) as run:
        run.take_steps()
        for _ in range(20):  # while it stops, saves and exits
            run.process.send_signal(number)
            time.sleep(0.02)
        assert run.wait() == 128 + number
        assert run.process.stderr.read() == b""
        assert run.is_saved


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("UV"), reason="the tests were not started with `uv run`")
@pytest.mark.parametrize(("number", "delay"), [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.1), (signal.SIGINT, 0.3)])
def test_a_signal_to_the_process_group_of_uv_saves(tmp_path, number, delay):
    """uv passes the signal on to a process that has already received it."""
    with LongRun(tmp_path / "run", "uv", "run", "--no-sync", "alexnet") as run:
        run.take_steps()
        time.sleep(delay)
        os.killpg(run.process.pid, number)
        assert run.wait() == 128 + number
        assert run.is_saved
