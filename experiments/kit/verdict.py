"""The verdict on a claim: an interval over seeds, against the effect that would count."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import scipy.stats

Verdict = Literal["agrees", "disagrees", "inconclusive"]

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Effect:
    """The effect that was measured.

    Attributes:
        mean: the mean over the seeds.
        low: the lower end of the 95% interval of the mean (Student's t).
        high: its upper end.
    """

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Rule:
    """The claim that the figures ``more`` exceed the figures ``less``.

    The effect is the mean over the seeds of their difference, or of the logarithm of their ratio. Both nets of a pair
    have the same seed. The verdict is

    - "agrees" if the interval is above 0 and reaches ``counts``;
    - "disagrees" if the interval is below ``counts``: an effect of this size is excluded;
    - "inconclusive" otherwise.

    Attributes:
        more: the name of the figures that should be larger.
        less: the name of the figures that should be smaller.
        counts: the smallest effect that counts: a difference, or a ratio above 1.
        is_ratio: whether the effect is a ratio.
    """

    more: str
    less: str
    counts: float
    is_ratio: bool = False

    def effect(self, figures: Mapping[str, Sequence[float]]) -> Effect:
        """The effect in ``figures``, which have one value per seed."""
        pairs = list(zip(figures[self.more], figures[self.less], strict=True))
        if not self.is_ratio:
            return _interval([more - less for more, less in pairs])
        logs = _interval([math.log(more / less) for more, less in pairs])
        return Effect(math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high))

    def verdict(self, effect: Effect) -> Verdict:
        """The verdict on ``effect``."""
        nothing = 1.0 if self.is_ratio else 0.0
        if effect.high < self.counts:
            return "disagrees"
        return "agrees" if effect.low > nothing else "inconclusive"

    def __str__(self) -> str:
        name = f"{self.more} / {self.less}" if self.is_ratio else f"{self.more} - {self.less}"
        return f"{name}, at least {self.counts:g}"


def _interval(values: Sequence[float]) -> Effect:
    """The mean of ``values`` and its 95% interval. Two values are the fewest."""
    mean = statistics.mean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    reach = float(scipy.stats.t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1)) * error
    return Effect(mean, mean - reach, mean + reach)
