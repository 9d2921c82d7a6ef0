"""The recipes of the page, each after the program that it continues."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

import alexnet_jax

PAGE = (Path(alexnet_jax.__file__).parent / "training" / "RECIPES.md").read_text()
START, *RECIPES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
NAMES = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def start():
    names = {}
    exec(START, names)
    return names


@pytest.mark.slow
@pytest.mark.parametrize("code", RECIPES, ids=NAMES)
def test_recipe_prints_what_its_comment_says(start, code):
    expected = re.findall(r"^print\(.*\)  # (.*)$", code, re.MULTILINE)
    assert expected
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(code, dict(start))
    assert output.getvalue().splitlines() == expected


@pytest.mark.parametrize("code", RECIPES, ids=NAMES)
def test_recipe_is_short(code):
    assert len([line for line in code.splitlines() if line]) <= 15


def test_each_recipe_has_a_title():
    assert len(NAMES) == len(RECIPES) == 15
