"""The runs of a sweep, from the words of its command."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from alexnet_jax.errors import UsageError

SEED = "seed"
_WITHOUT_EFFECT = ("quiet", "overwrite", "log", "profile")
"""Options that do not change the net that is trained."""


@dataclass(frozen=True)
class Setting:
    """The values of the options that a sweep varies.

    Attributes:
        values: each option, without dashes, and its value.
    """

    values: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return ", ".join(f"{option} {value}" for option, value in self.values) or "as given"


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Attributes:
        setting: the values of its options.
        seed: its random seed.
        arguments: the words of ``alexnet train`` for it, without the run directory.
    """

    setting: Setting
    seed: int
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its run directory."""
        parts = [f"{option}_{value}" for option, value in self.setting.values]
        return re.sub(r"[^\w.+-]+", "-", "_".join([*parts, f"{SEED}_{self.seed}"]))

    def __str__(self) -> str:
        return ", ".join([*(f"{option} {value}" for option, value in self.setting.values), f"{SEED} {self.seed}"])


def swept_runs(arguments: Sequence[str], seeds: Sequence[int]) -> list[SweptRun]:
    """All combinations of the values in ``arguments``, each with all ``seeds``.

    An option is varied if its only value has commas: ``--optimizer.learning_rate 0.01,0.02``. A value can be several
    words: ``--schedule.epochs "8 12,10 14"``.

    Args:
        arguments: the words of ``alexnet train``, without ``--seed``.
        seeds: the random seeds of each combination.

    Raises:
        UsageError: a value is empty, or there twice.
    """
    options = list(_options(arguments))
    varied = {option: _values(option, words[0]) for option, words in options if _is_varied(option, words)}
    fixed = tuple(word for option, words in options if option not in varied for word in _words(option, words))
    runs = []
    for values in itertools.product(*varied.values()):
        setting = Setting(tuple(zip(varied, values, strict=True)))
        changes = tuple(word for option, value in setting.values for word in _words(option, value.split()))
        runs += [SweptRun(setting, seed, (*fixed, *changes, f"--{SEED}", str(seed))) for seed in seeds]
    return runs


def without(arguments: Sequence[str], *names: str) -> list[str]:
    """``arguments`` without the options ``names`` and their values."""
    return [word for option, words in _options(arguments) if option not in names for word in _words(option, words)]


def train_the_same_net(arguments: Sequence[str], others: Sequence[str]) -> bool:
    """Whether two commands have the same options, apart from those that do not change the net."""
    first, second = (sorted(_options(without(words, *_WITHOUT_EFFECT))) for words in (arguments, others))
    return first == second


def _options(arguments: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each option, without dashes and with underscores, and its words."""
    option, words = "", list[str]()
    for argument in arguments:
        if not argument.startswith("--"):
            words.append(argument)
            continue
        if option or words:
            yield option, words
        option, has_value, value = argument.removeprefix("--").partition("=")
        option, words = option.replace("-", "_"), [value] if has_value else []
    if option or words:
        yield option, words


def _words(option: str, values: Sequence[str]) -> list[str]:
    return [f"--{option}", *values] if option else list(values)


def _is_varied(option: str, words: Sequence[str]) -> bool:
    return bool(option) and len(words) == 1 and "," in words[0]


def _values(option: str, word: str) -> list[str]:
    values = [value.strip() for value in word.split(",")]
    if not all(values):
        raise UsageError(f"--{option} is {word}: a value is empty; write the values as 0.01,0.02")
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise UsageError(f"--{option} is {word}: {twice} is given twice")
    return values
