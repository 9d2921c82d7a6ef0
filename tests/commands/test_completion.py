"""Shell completion."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from alexnet_jax.__main__ import COMMANDS
from tests.helpers.command import alexnet

COMPLETE = """
source {script}
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_tyro_alexnet
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("alexnet ''", sorted(["--help", "-h", *COMMANDS])),
        ("alexnet train --dtype b", ["bfloat16"]),
        ("alexnet prepare fo", ["folder"]),
        ("alexnet similarity --di", ["--distance"]),
    ],
)
def test_bash_completes_commands_options_and_values(tmp_path, words, completions):
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    done = alexnet("completion", "bash")
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "script").write_text(done.stdout)
    command = COMPLETE.format(script=tmp_path / "script", words=words)
    completed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert sorted(completed.stdout.split()) == completions
