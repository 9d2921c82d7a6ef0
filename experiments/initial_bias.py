"""Section 5: initial biases of 1 accelerate the start.

uv run python -m experiments.initial_bias
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.config import TrainConfig
from experiments.kit.experiment import Arms, Experiment, Figures, Trained
from experiments.kit.nets import TrainedNet
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule

_BIASES = (1.0, 0.1, 0.0)
_CONVS = (2, 4, 5)


def arms(scale: Scale) -> Arms:
    """The paper's biases of conv2, conv4, conv5 and the hidden dense layers, Caffe's, and none."""
    return {f"bias {bias:g}": _with_bias(baseline(scale), bias) for bias in _BIASES}


def _with_bias(config: TrainConfig, bias: float) -> TrainConfig:
    convs = [
        replace(conv, bias=bias if number in _CONVS else conv.bias)
        for number, conv in enumerate(config.model.convs, start=1)
    ]
    dense = [replace(layer, bias=bias) for layer in config.model.dense]
    return replace(config, model=replace(config.model, convs=tuple(convs), dense=tuple(dense)))


def early_error(net: TrainedNet) -> float:
    """The mean training error of the first epoch; 1 for a net that diverged."""
    if net.has_diverged:
        return 1.0
    return net.mean_training_error(lambda epoch: epoch <= 1.01)


def measure(trained: Trained) -> Figures:
    """The error of the first epoch, and which nets never start, so that their error stays near random guessing."""
    early = {arm: [early_error(net) for net in nets] for arm, nets in trained.items()}
    stuck = {
        f"never started, {arm}": [float(net.error("test") > 0.95 * net.guess_error) for net in nets]
        for arm, nets in trained.items()
    }
    return early | stuck


EXPERIMENT = Experiment(
    name="initial_bias",
    claim="Initial biases of 1 accelerate the early stages of training",
    source="paper, section 5",
    printed="no figure",
    authors_log="none",
    arms=arms,
    rule=Rule(more="bias 0", less="bias 1", counts=0.01),
    scale_note=CPU_NOTE,
    figure="top-1 error on training images, mean of the first epoch",
    measure=measure,
    discussion="Caffe's readme blames biases of 1 for nets that never start, and uses 0.1. `small` starts with weights "
    "of the variance 2 / inputs, not with the paper's standard deviation of 0.01, so that its ReLUs are not silent "
    "without biases. Biases of 1 then only add a constant that is larger than the signal of the weights, and the early "
    "stages take longer. The claim is about the paper's small weights. All nets start in the end.",
)

if __name__ == "__main__":
    main(EXPERIMENT)
