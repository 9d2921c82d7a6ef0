"""Commands that messages suggest, in a form that works in the user's shell."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence


def command(*arguments: object) -> str:
    """An ``alexnet`` command that the user can paste into the shell that started this process.

    It starts with ``uv run`` if this process does, because ``alexnet`` is then not on the shell's PATH. Without
    ``alexnet`` on PATH, it starts with the interpreter.

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


def command_with_packages(packages: Sequence[str], *arguments: object, python: str | None = None) -> str:
    """A command line that installs packages and then runs ``alexnet``.

    Args:
        packages: the packages to install.
        arguments: as for ``command``.
        python: the interpreter that needs the packages, if it is not the one that runs this process.
    """
    if python is not None and python != sys.executable:
        return f"{shlex.join([python, '-m', 'pip', 'install', *packages])} && {command(*arguments)}"
    if "UV" in os.environ:
        options = [part for package in packages for part in ("--with", package)]
        return shlex.join(["uv", "run", *options, "alexnet", *map(str, arguments)])
    return f"{shlex.join([sys.executable, '-m', 'pip', 'install', *packages])} && {command(*arguments)}"
