"""Section 4.1: the average over ten crops has a lower error than the centre crop.

uv run python -m experiments.single_vs_ten_crop
"""

from __future__ import annotations

from experiments.kit.experiment import Arms, Experiment, Figures, Trained
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """The net."""
    return {"net": baseline(scale)}


def measure(trained: Trained) -> Figures:
    """The error of each net with each way of cropping."""
    nets = trained["net"]
    return {
        "centre crop": [net.evaluate("test", "center") for net in nets],
        "centre and reflection": [net.evaluate("test", "center-flip") for net in nets],
        "ten crops": [net.evaluate("test", "ten-crop") for net in nets],
    }


EXPERIMENT = Experiment(
    name="single_vs_ten_crop",
    claim="The average over ten crops has a lower error than the centre crop",
    source="paper, sections 4.1 and 6",
    printed="39.0% to 37.5% top-1 on ILSVRC-2010",
    authors_log="39.02% to 37.47%",
    arms=arms,
    rule=Rule(more="centre crop", less="ten crops", counts=0.01),
    scale_note=CPU_NOTE,
    measure=measure,
)

if __name__ == "__main__":
    main(EXPERIMENT)
