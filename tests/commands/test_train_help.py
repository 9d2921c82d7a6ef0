"""The help of ``alexnet train``."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from alexnet_jax.presets import PRESETS
from alexnet_jax.variants import VARIANTS
from tests.helpers.command import alexnet


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_help_is_short_and_fits_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = alexnet("train", "--help").stdout.splitlines()
    assert max(map(len, lines)) <= min(columns, 80)
    assert len(lines) <= (80 if columns >= 80 else 95)


def test_help_lists_presets_and_variants():
    text = alexnet("train", "-h").stdout
    for name in PRESETS:
        assert re.search(rf"^  {name} +\w", text, re.MULTILINE), name
    assert re.findall(r"\w+", text.partition("describes them):")[2]) == list(VARIANTS)


def test_every_option_of_the_short_help_is_in_the_long_help():
    short, long = (set(re.findall(r"--[\w.-]+", alexnet("train", flag).stdout)) for flag in ("--help", "--help-all"))
    assert short <= long | {"--help-all"}
    assert len(long) > 2 * len(short)


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_help_imports_no_jax(command):
    code = f"import sys; from alexnet_jax.__main__ import main; sys.argv = ['alexnet', '{command}', '--help']\n"
    code += "try: main()\nexcept SystemExit: print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.endswith("\nFalse\n"), done.stdout + done.stderr
