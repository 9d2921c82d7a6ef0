"""Section 6: the averaged predictions of five nets have a lower error than one net.

uv run python -m experiments.ensemble
"""

from __future__ import annotations

from experiments.kit.experiment import Arms, Experiment, Figures, Trained
from experiments.kit.nets import ensemble_error
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """The net, with each seed a member."""
    return {"net": baseline(scale)}


def measure(trained: Trained) -> Figures:
    """The error of each net, and the error of the ensemble, repeated for each net."""
    nets = trained["net"]
    return {"one net": [net.error("test") for net in nets], "their average": [ensemble_error(nets)] * len(nets)}


EXPERIMENT = Experiment(
    name="ensemble",
    claim="The averaged predictions of five nets have a lower error than one net",
    source="paper, section 6",
    printed="40.7% to 38.1% top-1",
    authors_log="40.66% for one",
    arms=arms,
    rule=Rule(more="one net", less="their average", counts=0.02),
    scale_note=f"{CPU_NOTE} The interval is that of the single nets: there is one ensemble.",
    measure=measure,
    seeds=5,
)

if __name__ == "__main__":
    main(EXPERIMENT)
