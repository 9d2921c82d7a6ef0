"""Output that cannot be written."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from alexnet_jax import output
from alexnet_jax.__main__ import main
from alexnet_jax.errors import AlexNetError
from tests.helpers.processes import ALEXNET, LongRun


@contextlib.contextmanager
def standard_output(monkeypatch, descriptor, is_tolerant):
    """``sys.stdout`` on a descriptor, in the context under test."""
    with open(descriptor, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        with output.standard_streams(is_tolerant):
            yield
        monkeypatch.undo()


@pytest.fixture
def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.fixture
def full_disk():
    return os.open("/dev/full", os.O_WRONLY)


@pytest.mark.parametrize("problem", ["closed_pipe", "full_disk"])
def test_a_tolerant_stream_ignores_errors(monkeypatch, request, problem):
    with standard_output(monkeypatch, request.getfixturevalue(problem), is_tolerant=True):
        for _ in range(3):
            print("line " * 10_000, flush=True)


def test_another_stream_raises_the_first_error(monkeypatch, closed_pipe):
    with (
        pytest.raises(BrokenPipeError),
        standard_output(monkeypatch, closed_pipe, is_tolerant=False),
    ):
        print("line")


def test_the_error_names_standard_output(monkeypatch, full_disk):
    with (
        pytest.raises(AlexNetError, match=r"^standard output: no space left on device; write the output elsewhere$"),
        standard_output(monkeypatch, full_disk, is_tolerant=False),
    ):
        print("line", flush=True)


def test_a_reader_that_does_not_read_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(output, "_SECONDS_TO_WAIT", 0.01)
    reading, writing = os.pipe()
    with standard_output(monkeypatch, writing, is_tolerant=True):
        print("x" * 2**20, flush=True)  # much more than a pipe holds
        held = os.read(reading, 2**20)
        print("read again", flush=True)
        assert set(held) == {ord("x")}
        assert os.read(reading, 100) == b"read again\n"
    os.close(reading)


def test_a_descriptor_that_does_not_block_gets_every_line(monkeypatch):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    reader = subprocess.Popen(["sh", "-c", "sleep 0.2; wc -c"], stdin=reading, stdout=subprocess.PIPE, text=True)
    os.close(reading)
    with standard_output(monkeypatch, writing, is_tolerant=False):
        print("x" * 2**20, flush=True)
    assert int(reader.communicate()[0]) == 2**20 + 1


def test_characters_that_the_encoding_lacks_are_escaped(monkeypatch):
    reading, writing = os.pipe()
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    with standard_output(monkeypatch, writing, is_tolerant=True):
        print("\udcff")
    assert os.read(reading, 100) == b"\\udcff\n"
    os.close(reading)


@pytest.mark.parametrize("closed", ["0", "1", "2", "012"])
def test_files_do_not_get_the_descriptors_of_closed_streams(closed):
    code = """
import os, sys
from alexnet_jax.output import standard_streams
with standard_streams(is_tolerant=True):
    descriptor = os.open(os.devnull, os.O_RDONLY)
    print("anything"), print("anything", file=sys.stderr)
os._exit(descriptor)
"""
    closing = " ".join(f"{number}>&-" for number in closed)
    assert subprocess.run(["sh", "-c", f'"$0" -c "$1" {closing}', sys.executable, code], check=False).returncode > 2


def test_a_command_that_prints_to_a_closed_pipe_ends_silently(monkeypatch, capsys, closed_pipe):
    assert status_of_summary(monkeypatch, closed_pipe) == 1
    assert capsys.readouterr().err == ""


def test_a_command_that_prints_to_a_full_disk_says_so(monkeypatch, capsys, full_disk):
    assert status_of_summary(monkeypatch, full_disk) == 1
    error = "alexnet: error: standard output: no space left on device; write the output elsewhere\n"
    assert capsys.readouterr().err == error


def status_of_summary(monkeypatch, descriptor):
    monkeypatch.setattr(sys, "argv", ["alexnet", "summary", "small"])
    with open(descriptor, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        with pytest.raises(SystemExit) as leaving:
            main()
    return leaving.value.code


@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirection", "status"), [("| true", 1), (">/dev/full 2>/dev/full", 1), (">&-", 0), (">&- 2>&-", 0)]
)
def test_nothing_is_printed_when_python_exits(redirection, status):
    script = f"set -o pipefail; {{ sleep 0.1; '{sys.executable}' -m alexnet_jax summary small; }} {redirection}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, "")


@pytest.mark.slow
@pytest.mark.parametrize("reader", [["tee"], ["head", "-1"]])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_saves_although_its_reader_has_exited(tmp_path, reader, number):
    with LongRun(tmp_path / "run", *ALEXNET, stdout=subprocess.PIPE) as run:
        reading = {"stdin": run.process.stdout, "stdout": subprocess.DEVNULL, "process_group": run.process.pid}
        with subprocess.Popen(reader, **reading):
            run.process.stdout.close()
            run.process.stdout = None
            run.take_steps()
            os.killpg(run.process.pid, number)
        assert run.wait() == 128 + number
        assert run.process.stderr.read() == b""
        assert run.is_saved


@pytest.mark.slow
@pytest.mark.parametrize("redirection", [">/dev/full", ">/dev/full 2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_run_saves_although_nothing_can_be_printed(tmp_path, redirection):
    with LongRun(tmp_path / "run", "sh", "-c", f'exec "$@" {redirection}', "sh", *ALEXNET) as run:
        run.take_steps()
        run.process.terminate()
        assert run.wait() == 128 + signal.SIGTERM
        assert run.is_saved


@pytest.mark.slow
def test_a_run_whose_terminal_stops_and_then_hangs_up_goes_on_and_saves(tmp_path):
    main, terminal = os.openpty()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    with LongRun(tmp_path / "run", "setsid", "--ctty", *ALEXNET, process_group=None, **streams) as run:
        os.close(terminal)
        run.take_steps(500)  # the live bar fills the terminal, which nobody reads
        os.close(main)
        assert run.wait() == 128 + signal.SIGHUP
        assert run.is_saved


@pytest.mark.slow
def test_nohup_keeps_a_run_alive(tmp_path):
    with LongRun(tmp_path / "run", "nohup", *ALEXNET) as run:
        run.take_steps()
        run.process.send_signal(signal.SIGHUP)
        run.take_steps()
        run.process.terminate()
        assert run.wait() == 128 + signal.SIGTERM
