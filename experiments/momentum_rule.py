"""Section 5: the learning rate is inside the velocity. In PyTorch and optax it is outside.

uv run python -m experiments.momentum_rule
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import ScheduleConfig
from experiments.kit.experiment import Arms, Experiment
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """Both rules, with a rate that drops in steps: they differ only after a change of the rate."""
    base = baseline(scale)
    if scale == "cpu":
        base = replace(base, schedule=ScheduleConfig(rule="steps", epochs=(8, 11)))
    return {
        name: replace(base, optimizer=replace(base.optimizer, rule=rule))
        for name, rule in (("rate inside", "paper"), ("rate outside", "optax_sgd"))
    }


EXPERIMENT = Experiment(
    name="momentum_rule",
    claim="A learning rate inside the velocity gives a lower error than one outside",
    source="paper, section 5; no source claims a difference",
    printed="none",
    authors_log="none",
    arms=arms,
    rule=Rule(more="rate outside", less="rate inside", counts=0.01),
    scale_note=f"{CPU_NOTE} The rate drops to a tenth at epochs 8 and 11 in place of the cosine.",
    discussion="A disagreement is the expected result: after a drop the two velocities forget their difference within "
    "some tens of steps.",
)

if __name__ == "__main__":
    main(EXPERIMENT)
