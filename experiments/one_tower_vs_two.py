"""Section 3.5: two towers have a lower error than a net with half of the kernels.

uv run python -m experiments.one_tower_vs_two
"""

from __future__ import annotations

import math
from dataclasses import replace

from alexnet_jax.config import ModelConfig
from alexnet_jax.presets import preset
from alexnet_jax.variants import variant
from experiments.kit.experiment import Arms, Experiment
from experiments.kit.run import main
from experiments.kit.settings import CPU_NOTE, Scale, baseline
from experiments.kit.verdict import Rule


def arms(scale: Scale) -> Arms:
    """The net, and one of its towers.

    The last convolution of the paper's one-GPU net has as many kernels as both towers together.
    """
    if scale == "full":
        two = preset("imagenet_original")
        return {"two towers": two, "one tower": replace(two, model=variant("one_gpu"))}
    two = baseline(scale)
    return {"two towers": two, "one tower": replace(two, model=_one_tower(two.model))}


def _one_tower(model: ModelConfig) -> ModelConfig:
    """Half of the kernels of each convolution but the last. Layers that read both towers have half of the inputs."""
    *middle, last = model.convs
    halves = []
    for number, conv in enumerate(middle):
        half = replace(conv, features=conv.features // 2, groups=1)
        if conv.groups == 1 and number > 0 and conv.kernel_stddev is not None:
            half = replace(half, kernel_stddev=conv.kernel_stddev * math.sqrt(2))
        halves.append(half)
    return replace(model, convs=(*halves, replace(last, groups=1)), towers=1)


EXPERIMENT = Experiment(
    name="one_tower_vs_two",
    claim="Two towers have a lower error than one with half of the kernels in each convolution",
    source="paper, section 3.5",
    printed="-1.7 points top-1, -1.2 top-5",
    authors_log="39.17% (layer file 145-half on ILSVRC-2010), 37.47% with two",
    arms=arms,
    rule=Rule(more="one tower", less="two towers", counts=0.017),
    scale_note=CPU_NOTE,
)

if __name__ == "__main__":
    main(EXPERIMENT)
