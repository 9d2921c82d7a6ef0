from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.hostile.place import make_place


@pytest.fixture(scope="session")
def place(tmp_path_factory) -> Path:
    """Do not change it: ``unchanged`` checks."""
    return make_place(tmp_path_factory.mktemp("place"))


@pytest.fixture(autouse=True)
def time_limit():
    """A command that waits for a pipe fails."""

    def fail(number, frame):
        pytest.fail("took too long")

    previous = signal.signal(signal.SIGALRM, fail)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)
