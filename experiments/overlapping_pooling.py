"""Section 3.4: overlapping pooling lowers the error.

uv run python -m experiments.overlapping_pooling
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import MaxPool
from experiments.kit.experiment import Arms, Experiment
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """Windows of 3 pixels and of 2, both with stride 2. The feature maps have the same sizes."""
    base = baseline(scale)
    apart = replace(base, model=replace(base.model, max_pool=MaxPool(size=2, stride=2, rounding="down")))
    return {"3 x 3, overlapping": base, "2 x 2": apart}


EXPERIMENT = Experiment(
    name="overlapping_pooling",
    claim="Overlapping pooling lowers the error",
    source="paper, section 3.4",
    printed="-0.4 points top-1, -0.3 top-5",
    authors_log="41.06% without (layer file 147, with other paddings), 40.66% with",
    arms=arms,
    rule=Rule(more="2 x 2", less="3 x 3, overlapping", counts=0.004),
    scale_note=CPU_NOTE,
)

if __name__ == "__main__":
    main(EXPERIMENT)
