"""Section 3.3: local response normalisation lowers the error of a net of four layers on CIFAR-10.

uv run python -m experiments.local_response_norm_cifar10
"""

from __future__ import annotations

from dataclasses import replace

from alexnet_jax.presets import preset
from alexnet_jax.variants import variant
from experiments.kit.changes import with_variance_of_inputs, without_operation
from experiments.kit.experiment import Arms, Experiment
from experiments.kit.run import main
from experiments.kit.settings import Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """The published nets, and the 11% net without its normalisation; or the nets for an ablation."""
    if scale == "full":
        with_norm = preset("cifar10_11pct")
        return {
            "without": preset("cifar10_13pct"),
            "with": with_norm,
            "11% net without": without_operation(with_norm, "local_response_norm"),
        }
    nets = {"without": "cifar10_conv_relu", "with": "cifar10_conv_norm"}
    return {arm: replace(baseline(scale), model=with_variance_of_inputs(variant(net))) for arm, net in nets.items()}


EXPERIMENT = Experiment(
    name="local_response_norm_cifar10",
    claim="Local response normalisation lowers the error of a net of four layers on CIFAR-10",
    source="paper, section 3.3",
    printed="13% to 11%",
    authors_log="13% (layers-conv-local-13pct.cfg), 11% (layers-conv-local-11pct.cfg)",
    arms=arms,
    rule=Rule(more="without", less="with", counts=0.01),
    scale_note="The nets `cifar10_conv_relu` and `cifar10_conv_norm`, with initial weights of the variance 1 / inputs, "
    "on 10,000 training photos, for 12 epochs with a cosine schedule. They differ in the normalisation alone. The "
    "published nets differ in more, and are trained for hundreds of epochs.",
)

if __name__ == "__main__":
    main(EXPERIMENT)
