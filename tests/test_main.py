"""What the command prints of exceptions in callbacks."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
from alexnet_jax import __main__

class Dropped:
    def __del__(self):
        raise {error}

def run(arguments):
    Dropped()
    return 0

__main__._run = run
sys.argv = ["alexnet", *{arguments}]
__main__.main()
"""


@pytest.mark.parametrize(
    ("error", "arguments", "is_printed"),
    [
        ("RuntimeError('Event loop is closed')", [], False),
        ("RuntimeError('Event loop is closed')", ["--debug"], True),
        ("RuntimeError('something else')", [], True),
        ("KeyboardInterrupt", [], True),
    ],
)
def test_only_closed_event_loops_are_hidden(error, arguments, is_printed):
    program = PROGRAM.format(error=error, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert ("Traceback" in done.stderr) == is_printed, done.stderr
