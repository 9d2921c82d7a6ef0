"""Section 4.2: without dropout the net overfits.

uv run python -m experiments.dropout
"""

from __future__ import annotations

from dataclasses import replace

from experiments.kit.experiment import Arms, Experiment, Figures, Trained
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """The net with a dropout rate of one half, and without dropout."""
    base = baseline(scale)
    return {
        name: replace(base, model=replace(base.model, dropout=replace(base.model.dropout, rate=rate)))
        for name, rate in (("dropout 0.5", 0.5), ("no dropout", 0.0))
    }


def gaps(trained: Trained) -> Figures:
    """The error on test images minus the error on training images, on the centre crop and without dropout."""
    return {arm: [net.error("test") - net.evaluate("train") for net in nets] for arm, nets in trained.items()}


EXPERIMENT = Experiment(
    name="dropout",
    claim="Without dropout the net overfits substantially",
    source="paper, section 4.2",
    printed="no figure",
    authors_log="none",
    arms=arms,
    rule=Rule(more="no dropout", less="dropout 0.5", counts=0.02),
    scale_note=CPU_NOTE,
    figure="top-1 error on test images minus that on training images",
    measure=gaps,
)

if __name__ == "__main__":
    main(EXPERIMENT)
