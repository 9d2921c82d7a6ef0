"""Section 7: removing a convolution in the middle raises the error.

uv run python -m experiments.depth
"""

from __future__ import annotations

from dataclasses import replace

from experiments.kit.experiment import Arms, Experiment, Figures, Trained, test_errors
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule

_ALL = "all layers"


def arms(scale: Scale) -> Arms:
    """The net, and the net without conv3 or conv4, which have no pooling behind them."""
    base = baseline(scale)
    nets = {_ALL: base}
    for number in (3, 4):
        convs = tuple(conv for index, conv in enumerate(base.model.convs, start=1) if index != number)
        nets[f"without conv{number}"] = replace(base, model=replace(base.model, convs=convs))
    return nets


def measure(trained: Trained) -> Figures:
    """The errors, and the mean over the removed layers for each seed."""
    errors = test_errors(trained)
    removed = [values for arm, values in errors.items() if arm != _ALL]
    return {**errors, "one layer less": [sum(values) / len(values) for values in zip(*removed, strict=True)]}


EXPERIMENT = Experiment(
    name="depth",
    claim="Removing any of the middle convolutions raises the error",
    source="paper, section 7",
    printed="about +2 points top-1",
    authors_log="none",
    arms=arms,
    rule=Rule(more="one layer less", less=_ALL, counts=0.02),
    scale_note=CPU_NOTE,
    measure=measure,
    discussion="The paper removes a layer from a net that is trained for 90 epochs on 1.2 million images. This net is "
    "far from the end of its training after 12 epochs of 10,000 images, as its training error of about 30% shows, and "
    "a net of fewer layers learns faster at the start. The result does not say which depth a longer run needs.",
)

if __name__ == "__main__":
    main(EXPERIMENT)
