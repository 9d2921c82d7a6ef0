"""What an experiment says about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from alexnet_jax.config import TrainConfig
from experiments.kit.nets import TrainedNet
from experiments.kit.settings import Scale
from experiments.kit.verdict import Rule

Arms = Mapping[str, TrainConfig]
"""The runs to compare, by name. Each is trained with several seeds."""

Trained = Mapping[str, Sequence[TrainedNet]]
"""The trained nets of each arm, one per seed, in the order of the seeds."""

Figures = Mapping[str, Sequence[float]]
"""The figures to compare, by name: one per seed."""


def test_errors(trained: Trained) -> Figures:
    """The top-1 error of each net on the test images, as a fraction."""
    return {arm: [net.error("test") for net in nets] for arm, nets in trained.items()}


@dataclass(frozen=True)
class Experiment:
    """One claim, the nets that it is about, and the rule by which it is judged.

    Attributes:
        name: the name of its module.
        claim: what the source says.
        source: where it says so.
        printed: the figures that it prints.
        authors_log: the figures of the authors' own log, or "none".
        arms: makes the runs of a scale.
        rule: how the figures are judged. It is fixed before the run.
        scale_note: what the small version leaves out or shortens.
        figure: what the figures are, with their unit.
        measure: computes the figures from the trained nets.
        seeds: the number of seeds of the small version.
        discussion: how to read a result, in particular a disagreement.
    """

    name: str
    claim: str
    source: str
    printed: str
    authors_log: str
    arms: Callable[[Scale], Arms]
    rule: Rule
    scale_note: str
    figure: str = "top-1 error on test images"
    measure: Callable[[Trained], Figures] = test_errors
    seeds: int = 3
    discussion: str = ""
