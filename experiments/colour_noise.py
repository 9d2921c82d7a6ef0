"""Section 4.1: noise in the principal components of colour lowers the error.

uv run python -m experiments.colour_noise
"""

from __future__ import annotations

from dataclasses import replace

from experiments.kit.experiment import Arms, Experiment
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """The run with the paper's noise and without noise."""
    base = baseline(scale)
    return {
        name: replace(base, augment=replace(base.augment, pca_colour_noise=noise))
        for name, noise in (("noise 0.1", 0.1), ("no noise", 0.0))
    }


EXPERIMENT = Experiment(
    name="colour_noise",
    claim="Noise in the principal components of colour lowers the error",
    source="paper, section 4.1",
    printed="more than -1 point top-1",
    authors_log="none",
    arms=arms,
    rule=Rule(more="no noise", less="noise 0.1", counts=0.01),
    scale_note=CPU_NOTE,
)

if __name__ == "__main__":
    main(EXPERIMENT)
