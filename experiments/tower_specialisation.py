"""Figure 3: the kernels of conv1 are grey in one tower and coloured in the other.

uv run python -m experiments.tower_specialisation
"""

from __future__ import annotations

import numpy as np

from experiments.kit.experiment import Arms, Experiment, Figures, Trained
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule

_SPLITS = 1000


def arms(scale: Scale) -> Arms:
    """The net of two towers."""
    return {"two towers": baseline(scale)}


def saturations(kernel: np.ndarray) -> np.ndarray:
    """The saturation of each kernel: the fraction of its energy that is colour.

    It is 0 for a grey kernel, and 1 for a kernel whose mean over the channels is 0.

    Args:
        kernel: the weights of conv1, (height, width, 3, features).
    """
    colour = kernel - kernel.mean(2, keepdims=True)
    return (colour**2).sum((0, 1, 2)) / (kernel**2).sum((0, 1, 2))


def measure(trained: Trained) -> Figures:
    """The difference of the mean saturations of the two towers, and that of random halves of the kernels."""
    towers, halves = [], []
    for net in trained["two towers"]:
        values = saturations(np.asarray(net.load().params["conv1"]["kernel"]))
        rng = np.random.default_rng(net.config.seed)
        towers.append(_difference(values))
        halves.append(float(np.mean([_difference(rng.permutation(values)) for _ in range(_SPLITS)])))
    return {"the two towers": towers, "random halves": halves}


def _difference(values: np.ndarray) -> float:
    first, second = np.split(values, 2)
    return float(abs(first.mean() - second.mean()))


EXPERIMENT = Experiment(
    name="tower_specialisation",
    claim="The kernels of conv1 turn grey in one tower and coloured in the other, in every run",
    source="paper, section 6.1 and Figure 3",
    printed="a picture",
    authors_log="none",
    arms=arms,
    rule=Rule(more="the two towers", less="random halves", counts=0.1),
    scale_note=CPU_NOTE,
    figure="difference of the mean saturation of the kernels",
    measure=measure,
    seeds=5,
    discussion="The towers differ about as much as random halves of the kernels do. One of five seeds reaches the "
    "difference that counts. The paper's towers have 48 kernels of 11 x 11 pixels each, and were trained for 90 "
    "epochs. Those of `small` have 16 kernels of 5 x 5 pixels, and were trained for 12 epochs of 10,000 photos of 32 "
    "pixels.",
)

if __name__ == "__main__":
    main(EXPERIMENT)
