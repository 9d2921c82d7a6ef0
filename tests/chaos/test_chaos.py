from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_disturbed_runs_end_like_undisturbed_ones():
    """The script, in a process of its own, because it forks before JAX starts."""
    command = [sys.executable, "-m", "tests.chaos", "--disturbances", "8", "--seed", "1"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
