"""Parse errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from alexnet_jax.commands.parsing import parse
from alexnet_jax.errors import UsageError
from alexnet_jax.hints import command


@dataclass(frozen=True)
class Inner:
    learning_rate: float = 0.1


@dataclass(frozen=True)
class Arguments:
    size: int
    dtype: Literal["float32", "bfloat16"] = "float32"
    parts: tuple[Inner, ...] = (Inner(), Inner())
    inner: Inner = Inner()

    def __post_init__(self) -> None:
        if self.size < 0:
            raise UsageError(f"size is {self.size}: use 0 or more")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--sizes 3", "unknown option --sizes: did you mean --size?"),
        (
            "--learning_rate 3",
            "did you mean --parts.0.learning_rate or --parts.1.learning_rate or --inner.learning_rate?",
        ),
        ("--inner.learning-rat=3", "unknown option --inner.learning-rat: did you mean --inner.learning_rate"),
        ("--zzz", "unknown option --zzz"),
        ("3", "unexpected argument '3'"),
        ("--size", "--size needs 1 value(s)"),
        ("--size many", "--size: invalid literal for int() with base 10: 'many'"),
        ("--size -1", "size is -1: use 0 or more"),
        ("--size 1 --dtype int8", "--dtype is 'int8': use float32 or bfloat16"),
    ],
)
def test_parse_error_is_one_line_with_the_way_to_help(arguments, message):
    with pytest.raises(UsageError) as raised:
        parse(Arguments, arguments.split(), "train", default=Arguments(0))
    text = str(raised.value)
    assert message in text
    assert text.endswith(f"; see `{command('train', '--help')}`")
    assert "\n" not in text


def test_missing_options_are_named():
    with pytest.raises(UsageError, match=r"^missing --size; see"):
        parse(Arguments, [], "train")


def test_defaults_come_from_the_instance():
    assert parse(Arguments, ["--size", "2"], "train", default=Arguments(1, dtype="bfloat16")).dtype == "bfloat16"
