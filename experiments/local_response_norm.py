"""Section 3.3: local response normalisation lowers the error.

uv run python -m experiments.local_response_norm
"""

from __future__ import annotations

from experiments.kit.changes import without_operation
from experiments.kit.experiment import Arms, Experiment
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """The net with and without its normalisation."""
    base = baseline(scale)
    return {"with": base, "without": without_operation(base, "local_response_norm")}


EXPERIMENT = Experiment(
    name="local_response_norm",
    claim="Local response normalisation lowers the error",
    source="paper, section 3.3",
    printed="-1.4 points top-1 on ImageNet; 13% to 11% on CIFAR-10",
    authors_log="42.03% without (layer file 148, which drops rnorm, too), 40.66% with",
    arms=arms,
    rule=Rule(more="without", less="with", counts=0.01),
    scale_note=CPU_NOTE,
)

if __name__ == "__main__":
    main(EXPERIMENT)
