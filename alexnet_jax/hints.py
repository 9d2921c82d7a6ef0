"""Commands that messages suggest, written so that they work where they are printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys


def command(*arguments: object) -> str:
    """An ``alexnet`` command that the user can paste into the shell that started this process.

    It starts with ``uv run`` if this process does, because the command is not on the shell's PATH then, and with the
    interpreter if there is no ``alexnet`` on PATH at all.

    Args:
        arguments: the command's words, such as ``"train", "--workdir", path``. They are quoted where necessary.

    """
    if "UV" in os.environ:  # uv sets it for the processes that it starts
        program = ["uv", "run", "alexnet"]
    elif shutil.which("alexnet"):
        program = ["alexnet"]
    else:
        program = [sys.executable, "-m", "alexnet_jax"]
    return shlex.join([*program, *map(str, arguments)])
